"""Gradient descent by hand: steps that converge, oscillate and diverge."""

import matplotlib.pyplot as plt
import numpy as np


def descend(step, steps=15, x=1.0):
    """The points that gradient descent visits on f(x) = 7x² + 3x − 9, whose slope is 14x + 3."""
    points = [x]
    for _ in range(steps):
        points.append(points[-1] - step * (14 * points[-1] + 3))
    return np.array(points)


# Every step multiplies the distance from the minimum, −3/14, by 1 − 14·step. If the step is below 1/14, that
# factor is positive and x approaches the minimum from one side; up to 2/14 it is negative and x oscillates
# around the minimum; beyond, its absolute value is more than one, and x diverges.
paths = {step: descend(step) for step in (0.03, 0.13, 0.15)}
for step, points in paths.items():
    print(f"step {step}: x = {points[-1]:.4f} after {len(points) - 1} steps; the minimum is at {-3 / 14:.4f}")

figure, panels = plt.subplots(1, 3, figsize=(10, 3.2), sharex=True, layout="constrained")
for panel, (step, points), word in zip(
    panels, paths.items(), ("converges", "oscillates", "diverges"), strict=True
):
    x = np.linspace(-4, 4, 200)
    panel.plot(x, 7 * x**2 + 3 * x - 9, color="lightgrey")
    panel.plot(points, 7 * points**2 + 3 * points - 9, "o-", markersize=4)
    panel.set(title=f"step {step} {word}", xlabel="x", xlim=(-4, 4), ylim=(-20, 120))
panels[0].set_ylabel("7x² + 3x − 9")
figure.savefig("gradient_descent.svg")
