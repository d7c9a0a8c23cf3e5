"""Many solves that answer one question: scenarios, fronts, explanations, comparisons, stress."""
