"""Likelihood of published rounding: a published value says in which interval the number lay.

Rates are published in whole basis points. Where they hardly move, all days of a week round to
the same number and the week's mean may lie anywhere within half a basis point of what was
published: the spread over the rate on reserves was -7.00 bp for most of two years. A density
has no maximum there, because the likelihood grows without bound as the scale shrinks. The probability of
the interval,

    P(y - h < s < y + h) = F((y + h - m) / sigma) - F((y - h - m) / sigma),    h = 0.5 bp,

never exceeds one. Where days round differently their mean is known better than to half a basis point; the
interval is then too wide, sigma is estimated a little too small, and never too large.

F is Student's t with four degrees of freedom. The number is fixed because four has a closed form,

    F(t) = (1 + w)^2 (2 - w) / 4,    w = t / sqrt(4 + t^2),

with cheap gradients; the incomplete beta function of free degrees of freedom is slow, and its logarithm is
minus infinity in the tails. Four keep the variance finite and the tails of period ends.
"""

from __future__ import annotations

from typing import Any

DEGREES_OF_FREEDOM = 4
HALF_STEP = 0.5  # bp: half of the step in which rates are published


def log_interval_probability(deviation: Any, scale: Any, half: float = HALF_STEP) -> Any:
    """Log of the probability that a t(4) variable lies within ``half`` of ``deviation``.

        F(b) - F(a) = (w_b - w_a) (3 - w_a^2 - w_a w_b - w_b^2) / 4,    a, b = (|deviation| -+ half) / scale

    Both factors vanish in the tails and are written so that nothing cancels: the value and its gradient stay
    exact to rounding millions of scales away.

    Parameters
    ----------
    deviation : PyTensor expression; of the published value from the conditional mean, any shape, bp
    scale     : of the t distribution, positive, bp
    half      : half of the published step, bp
    """
    import pytensor.tensor as pt

    middle, width = abs(deviation) / scale, half / scale
    a, b = middle - width, middle + width  # by symmetry b > 0 and |a| <= b
    root_a, root_b = pt.sqrt(4 + a * a), pt.sqrt(4 + b * b)
    w_a, w_b = a / root_a, b / root_b
    # b root_a - a root_b would cancel on one side of the mean; the branch not taken must stay finite too.
    beside = 16 * middle * width / ((b * root_a + pt.maximum(a, 0) * root_b) * root_a * root_b)
    difference = pt.switch(a > 0, beside, w_b - w_a)
    # 3 - w_a^2 - w_a w_b - w_b^2 = (1 - w_b^2) + 2 (1 - w_a^2) - w_a (w_b - w_a), and 1 - w^2 = 4 / (4 + t^2)
    remainder = 4 / (4 + b * b) + 8 / (4 + a * a) - w_a * difference
    return pt.log(difference) + pt.log(remainder / 4)
