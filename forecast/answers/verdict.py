"""An assessment in words: the state, the chances, what would change it, what it cannot know."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from forecast.answers.ampleness import TOLERANCES, Ampleness, State
from forecast.answers.assessment import Assessment, shared

# Days from the end of a week to the eve of the release of the next week's bank assets, a holiday included.
_USUAL_DELAY = 19


def sentence(assessment: Assessment) -> str:
    """The state in one sentence, and who says what where models disagree."""
    states, state = assessment.states(), assessment.state()
    if not states:
        return "Cannot tell: no answer counts; the notes on the models say why."
    if state == "cannot tell":
        told = {said: [m for m, s in states.items() if s == said] for said in dict.fromkeys(states.values())}
        return f"Cannot tell: {'; '.join(_says(names, said) for said, names in told.items())}."
    if len(states) == 1:
        others = "no other model answered" if len(assessment.answers) == 1 else "no other answer counts"
        return f"Reserves are {state}, {spoken(next(iter(states)))} says; {others}."
    who = "both models" if len(states) == 2 else f"all {len(states)} models"
    return f"Reserves are {state}: {who} that count say so."


def chances(assessment: Assessment) -> str:
    """The lowest and highest chance that counted models give to each state."""
    told = [answer.ampleness.chances() for answer in assessment.counted()]
    states: tuple[State, ...] = ("abundant", "ample", "scarce")
    ranges = {state: sorted(100 * given[state] for given in told) for state in states}
    said = [f"{state} {_between(found[0], found[-1])} percent" for state, found in ranges.items() if found]
    return f"Chances{' from model to model' if len(told) > 1 else ''}: {listed(said)}." if said else ""


def changes(assessment: Assessment) -> Iterator[str]:
    """What would change the answer: who stands alone, and for each curve the move of reserves to the next state."""
    yield from _dissenter(assessment)
    counted = assessment.counted()
    for answer in counted:
        if answer.ampleness.thresholds:
            yield f"{capital(spoken(answer.model))}: {_away(answer.ampleness, assessment.bank_assets)}."
    slopes = [spoken(answer.model) for answer in counted if not answer.ampleness.thresholds]
    if slopes:
        verb = "has" if len(slopes) == 1 else "have"
        yield f"{capital(listed(slopes))} {verb} a slope now and no curve to follow to other levels of reserves."


def model_notes(assessment: Assessment) -> Iterator[tuple[str, str]]:
    """What a reader must know of single models: model and note."""
    for answer in assessment.answers:
        reason = assessment.not_counted(answer)
        yield from (
            (answer.model, note)
            for note in (f"not counted: {reason}" if reason else "", *answer.ampleness.notes)
            if note
        )


def limits(assessment: Assessment) -> tuple[str, ...]:
    """What the assessment cannot know."""
    days = (assessment.as_of.tz_localize(None) - assessment.last_week).days
    source = (
        "It rests on a simulated economy: it shows what models can find, and says nothing about actual reserves."
        if assessment.data == "synthetic"
        else "It rests on public weekly data. The official estimate (New York Fed, Reserve Demand Elasticity) uses "
        "confidential daily data; neither its numbers nor its precision are claimed here."
    )
    why = (
        "bank assets (H.8) come out on the Friday of the following week"
        if days <= _USUAL_DELAY
        else "the data end there"
    )
    late = (
        f"The last known reserve ratio is of the week to {assessment.last_week:%Y-%m-%d}, {days} days before the as-of "
        f"date: {why}."
    )
    wrong = (
        "Each interval holds if its model is right. None counts the chance that the model is wrong: how far the models "
        "lie apart says at least how large that is."
    )
    moved = "Facilities, rules and payment habits may have moved demand since the weeks a curve was learnt from."
    return source, late, wrong, moved


def _dissenter(assessment: Assessment) -> Iterator[str]:
    states = assessment.states()
    if len(states) < 3 or assessment.state() != "cannot tell":
        return
    for model in states:
        others = shared({other: state for other, state in states.items() if other != model})
        if others != "cannot tell":
            yield f"{capital(spoken(model))} stands alone: without it all others would say {others}."


def _away(ampleness: Ampleness, bank_assets: float) -> str:
    """How far reserves are from where the slope leaves the tolerances that separate the states."""
    steps = ((TOLERANCES[0], "no longer abundant", "abundant"), (TOLERANCES[-1], "scarce", "no longer scarce"))
    return "; ".join(dict.fromkeys(_move(ampleness, c, bank_assets, below, above) for c, below, above in steps))


def _move(ampleness: Ampleness, c: float, bank_assets: float, below: str, above: str) -> str:
    """The move of reserves that brings the slope to c, and what reserves are on the other side."""
    if ampleness.reached(c) < 0.5:
        draws = ampleness.thresholds[c]
        way, share = max(
            ("steeper", np.isposinf(draws).mean()), ("flatter", (draws == 0).mean()), key=lambda each: each[1]
        )
        return f"the slope is {way} than {c:g} at every level of reserves ({percent(float(share))} of its draws)"
    if not ampleness.has_seen(c):
        return (
            f"the slope is {c:g} only at a ratio that has never been seen, of which the shape speaks and not the data"
        )
    if np.mean((ampleness.ratio[-1] < ampleness.thresholds[c]) & (ampleness.slope[:, -1] > c)) > 0.5:
        return "reserves lie below the steep part of the curve, on its flat top: scarce, however flat it is there"
    low, median, high = np.nanquantile(ampleness.distance(c, bank_assets), [0.16, 0.5, 0.84]).tolist()
    way, then = ("fall", below) if median > 0 else ("rise", above)
    return (
        f"{then} after a {way} of reserves by USD {abs(median):,.0f} bn "
        f"(68 percent interval: {_moves(low, high)}), where the slope is {c:g}"
    )


def _moves(low: float, high: float) -> str:
    """From one distance to another, in USD bn; across zero the ways differ and are named."""
    if low < 0 < high:
        return f"from a rise by {-low:,.0f} to a fall by {high:,.0f}"
    ends = sorted((abs(low), abs(high)))
    return f"{ends[0]:,.0f} to {ends[1]:,.0f}"


# --------------------------------------------------------------------------- words


def spoken(model: str) -> str:
    """A model's name inside a sentence."""
    return f"the {re.sub(r'\bvar\b', 'VAR', model.replace('_', ' ').replace('time varying', 'time-varying'))}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def capital(text: str) -> str:
    """A text that begins a sentence."""
    return text[:1].upper() + text[1:]


def percent(share: float) -> str:
    """A probability in whole percent."""
    return f"{100 * share:.0f} percent"


def _between(low: float, high: float) -> str:
    return f"{low:.0f}" if f"{low:.0f}" == f"{high:.0f}" else f"{low:.0f} to {high:.0f}"


def _says(models: Sequence[str], state: State) -> str:
    names = listed([spoken(model) for model in models])
    return (
        f"{names} cannot tell" if state == "cannot tell" else f"{names} {'says' if len(models) == 1 else 'say'} {state}"
    )
