"""`python -m benchmarks.privacy`: recall, precision and over-masking per kind, and MB/s, beside other detectors.

Presidio (its pattern recognisers alone, no language model) and DataFog run where the extra `bench` is installed.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable
from random import Random

from benchmarks.privacy.clean import FILLERS
from benchmarks.privacy.measure import Case, Find, Score, clean, holdout_clean, holdout_plants, plants, score
from proventrail.privacy.detect import Detector
from proventrail.privacy.spans import KINDS, Span

LINES = (
    "{ts} INFO [{job}] run={uuid} wrote {count} rows to "
    "s3://lake/{table}/dt={date}/part-00000-{uuid}.parquet in {decimal} s",
    "{ts} WARN org.apache.spark.scheduler.TaskSetManager: Lost task 12.0 in stage 3.0 (TID {count}) "
    "(worker-1 executor 4)",
    "SELECT o.id, sum(o.amount) FROM {table} o JOIN {table} c ON o.cid = c.id WHERE o.dt >= '{date}' "
    "GROUP BY 1 -- {job}",
    "\tat org.apache.spark.sql.FileFormatWriter$.write(FileFormatWriter.scala:{line})\n\tat "
    "java.lang.Thread.run(Thread.java:{line})",
    "Backfill of {table} for {date}: {job} was started by the scheduler after the upstream run {uuid} had finished.",
    "commit {sha} builds image registry.acme.io/etl/{job}@sha256:{sha} version 3.5.{line}",
)
PRESIDIO = {
    "EMAIL_ADDRESS": ("email",),
    "CREDIT_CARD": ("credit-card",),
    "IBAN_CODE": ("iban",),
    "US_SSN": ("us-ssn",),
    "US_ITIN": ("us-itin",),
    "UK_NHS": ("uk-nhs",),
    "UK_NINO": ("uk-nino",),
    "IP_ADDRESS": ("ip-public", "ip-private"),
    "PHONE_NUMBER": ("phone",),
    "CRYPTO": ("crypto-address",),
    "ES_NIF": ("es-dni",),
    "ES_NIE": ("es-nie",),
    "IT_FISCAL_CODE": ("it-codice-fiscale",),
    "PL_PESEL": ("pl-pesel",),
    "IN_PAN": ("in-pan",),
    "IN_AADHAAR": ("in-aadhaar",),
    "AU_TFN": ("au-tfn",),
    "AU_ABN": ("au-abn",),
    "AU_MEDICARE": ("au-medicare",),
    "SG_NRIC_FIN": ("sg-nric",),
    "FI_PERSONAL_IDENTITY_CODE": ("fi-hetu",),
    "KR_RRN": ("kr-rrn",),
    "US_PASSPORT": ("passport",),
    "US_DRIVER_LICENSE": ("driver-licence",),
    "MEDICAL_LICENSE": ("us-dea",),
    "MAC_ADDRESS": ("mac",),
}
DATAFOG = {
    "EMAIL": ("email",),
    "PHONE": ("phone",),
    "SSN": ("us-ssn",),
    "CREDIT_CARD": ("credit-card",),
    "IP_ADDRESS": ("ip-public", "ip-private"),
    "DOB": ("date-of-birth",),
}


Analyse = Callable[[str], list[tuple[int, int, str]]]
"""What another detector finds: start, end and its own name of the kind."""


def free_text(count: int = 20_000) -> list[str]:
    """Log lines, queries and stack traces in which nothing is to be found."""
    random = Random(1)
    return [random.choice(LINES).format(**{name: make(random) for name, make in FILLERS.items()}) for _ in range(count)]


def find_with(detector: Detector) -> Find:
    def find(case: Case) -> tuple[Span, ...]:
        if case.way == "sql":
            return detector.scan_sql(case.text)
        return detector.scan_uri(case.text) if case.way == "uri" else detector.scan(case.text, case.context)

    return find


def speed(run: Callable[[list[str]], object], texts: list[str]) -> float:
    """MB/s of one core, by the processor time that it took."""
    start = time.process_time()
    run(texts)
    return sum(map(len, texts)) / (time.process_time() - start) / 1e6


def table(title: str, result: Score, kinds: Iterable[str] = KINDS) -> None:
    print(f"\n{title}")
    print(f"{'kind':22}{'planted':>8}{'recall':>8}{'any kind':>9}{'precision':>10}{'over-masking':>13}")
    for kind in kinds:
        if result.planted[kind] or result.reported[kind]:
            covered = result.covered[kind] / result.planted[kind] if result.planted[kind] else 1.0
            print(
                f"{kind:22}{result.planted[kind]:8}{result.recall(kind):8.3f}{covered:9.3f}"
                f"{result.precision(kind):10.3f}{result.over_masking(kind):13.3f}"
            )
    print(f"clean strings touched: {result.touched} of {result.clean}")


def rival(title: str, analyse: Analyse, names: dict[str, tuple[str, ...]]) -> None:
    """Another detector on the plants of the kinds that it knows. A finding counts for any kind its name stands for."""
    known = {kind for kinds in names.values() for kind in kinds}
    cases = [case for case in plants() if case.spans and all(span.kind in known for span in case.spans)][::4]

    def find(case: Case) -> list[Span]:
        wanted = {span.kind for span in case.spans}
        found = []
        for start, end, name in analyse(case.text):
            kinds = names.get(name)
            if kinds is None:
                # A URL or a date is found as such: no claim that it is personal.
                continue
            found.append(Span(start, end, next((kind for kind in kinds if kind in wanted), kinds[0])))
        return found

    result = score(find, cases, clean()[::4])
    table(f"{title}: every fourth case of the kinds it knows", result, sorted(known))
    ours = score(find_with(Detector()), cases, clean()[::4])
    planted, mine, theirs = sum(result.planted.values()), sum(ours.found.values()), sum(result.found.values())
    print(f"of {planted} plants: {title} {theirs}, Proventrail {mine}; clean touched: {result.touched}, {ours.touched}")
    print(f"{title}: {speed(lambda texts: [analyse(text) for text in texts], free_text(300)):.2f} MB/s")


def presidio() -> Analyse:
    """Its pattern recognisers, at the threshold that its documentation names."""
    from presidio_analyzer import predefined_recognizers
    from presidio_analyzer.nlp_engine import NlpArtifacts
    from presidio_analyzer.pattern_recognizer import PatternRecognizer

    recognisers = []
    for name in dir(predefined_recognizers):
        cls = getattr(predefined_recognizers, name)
        if isinstance(cls, type) and issubclass(cls, PatternRecognizer) and cls is not PatternRecognizer:
            try:
                recognisers.append(cls())
            except TypeError:
                continue
    recognisers.append(predefined_recognizers.PhoneRecognizer())
    artifacts = NlpArtifacts([], [], [], [], None, "en")

    def analyse(text: str) -> list[tuple[int, int, str]]:
        found = []
        for recogniser in recognisers:
            results = recogniser.analyze(text, recogniser.supported_entities, artifacts) or []
            found += [(one.start, one.end, one.entity_type) for one in results if one.score >= 0.4]
        return found

    return analyse


def datafog() -> Analyse:
    from datafog.processing.text_processing.regex_annotator import RegexAnnotator

    annotator = RegexAnnotator()

    def analyse(text: str) -> list[tuple[int, int, str]]:
        _, result = annotator.annotate_with_spans(text)
        return [(span.start, span.end, span.label) for span in result.spans]

    return analyse


RIVALS: dict[str, tuple[str, Callable[[], Analyse]]] = {
    "Presidio": ("presidio_analyzer", presidio),
    "DataFog": ("datafog", datafog),
}
"""Name -> package, and what makes its analyser where the package is installed."""


def main() -> None:
    detector = Detector()
    find = find_with(detector)
    table("Corpus (built from a seed)", score(find, plants(), clean()))
    table("Hold-out (written by hand)", score(find, holdout_plants(), holdout_clean()))
    texts = free_text()
    print(
        f"\nfree text of {len(texts)} distinct strings, {sum(map(len, texts)) // len(texts)} characters "
        f"on average, one core:"
    )
    print(f"  prefilter (may_hold)   {speed(Detector().may_hold, texts):6.1f} MB/s")
    fresh = Detector()
    print(f"  detection (scan)       {speed(lambda all_: [fresh.scan(text) for text in all_], texts):6.1f} MB/s")
    print(f"  again, from the memo   {speed(lambda all_: [fresh.scan(text) for text in all_], texts):6.1f} MB/s")
    plain = Detector(backend="python")
    print(f"  without Hyperscan      {speed(lambda all_: [plain.scan(text) for text in all_], texts[:1000]):6.1f} MB/s")
    for name, (package, analyser) in RIVALS.items():
        if importlib.util.find_spec(package) is None:
            print(f"\n{name}: not installed (pip install 'proventrail[bench]')")
        else:
            rival(name, analyser(), PRESIDIO if name == "Presidio" else DATAFOG)


if __name__ == "__main__":
    main()
