"""`python -m benchmarks.privacy`: recall, precision and over-masking per kind, and MB/s, beside other detectors.

Presidio (its pattern recognisers alone, no language model) and DataFog run where the extra `bench` is installed.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.privacy.measure import Case, Find, Score, clean, holdout_clean, holdout_plants, plants, score
from benchmarks.privacy.rivals import RIVALS, Rival
from benchmarks.privacy.speed import free_text, speed
from proventrail.privacy.detect import Detector
from proventrail.privacy.spans import KINDS, Span


def find_with(detector: Detector) -> Find:
    def find(case: Case) -> tuple[Span, ...]:
        if case.way == "sql":
            return detector.scan_sql(case.text)
        return detector.scan_uri(case.text) if case.way == "uri" else detector.scan(case.text, case.context)

    return find


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


def rival(other: Rival) -> None:
    """Another detector on the plants of the kinds that it knows. A finding counts for any kind its name stands for."""
    analyse, title, names = other.make(), other.title, other.names
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
    for other in RIVALS:
        if other.installed:
            rival(other)
        else:
            print(f"\n{other.title}: not installed (pip install 'proventrail[bench]')")


if __name__ == "__main__":
    main()
