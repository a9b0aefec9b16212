"""Sentiment of reviews: TF-IDF of words in a sparse matrix, and the words that decide."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from logreg_accel import LogisticRegression
from logreg_accel.report import ForestDisplay

# Reviews made of parts, some of which are praise, some blame, and some neither.
whose = ["The acting", "The plot", "The score", "The ending", "The dialogue", "The camera work"]
praise = ["moves", "sparkles", "convinces", "is a delight", "stays with you", "is quietly funny"]
blame = ["drags", "is a mess", "bored me", "falls flat", "is wooden", "never convinces"]
rest = [
    "from the first scene.",
    "in a long film.",
    "and I saw it twice.",
    "as the critics wrote.",
    "in the end.",
]
rng = np.random.default_rng(0)
reviews, labels = [], []
for subject, ending in itertools.product(whose, rest):
    for _ in range(12):
        good = rng.random() < 0.5
        words = [rng.choice(praise if rng.random() < (0.95 if good else 0.05) else blame) for _ in range(2)]
        reviews.append(f"{subject} {words[0]}, it {words[1]} {ending}")
        labels.append("good" if good else "bad")

train, test, y, y_test = train_test_split(reviews, labels, random_state=0)
model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=10.0)).fit(train, y)
print(f"{model.score(test, y_test):.1%} of {len(test)} reviews that it has not seen are classified correctly")
print(model.predict(["The score is a delight and sparkles.", "The plot is wooden, it drags."]))

words = model[0].get_feature_names_out()
figure, ax = plt.subplots(figsize=(6, 5), layout="constrained")
ForestDisplay.from_estimator(model[-1], feature_names=words, top=16, ax=ax)
ax.set_title("Words and pairs of words, towards good on the right")
figure.savefig("sentiment.svg")
