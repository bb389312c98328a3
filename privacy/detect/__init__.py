"""Detection of personal data and secrets in text: no model, every finding is explained by a form and a checksum."""

from proventrail.privacy.detect.detector import Detector

__all__ = ["Detector"]
