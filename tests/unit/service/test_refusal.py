"""Every error has a status and a type, and none of the cluster's words reach the caller."""

from __future__ import annotations

import pytest

from opensearch_multimodal import errors
from opensearch_multimodal.service.refusal import Refusal, refusal_of

SECRET = "what the user asked"


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.InvalidInput("k: 0 is outside 1–2000"), 400, "invalid_input"),
        (
            errors.ModelMismatch("dense", expected="sha256:a", actual="sha256:b", remedy="…"),
            409,
            "model_mismatch",
        ),
        (errors.ClusterUnreachable(SECRET), 502, "cluster_error"),
        (errors.ClusterTimeout(SECRET), 504, "timed_out"),
        (errors.ClusterBusy(SECRET, status=429), 429, "busy"),
        (errors.ClusterBusy(SECRET, status=503), 502, "cluster_error"),
        (errors.ClusterRefused(SECRET, status=401), 401, "unauthorized"),
        (errors.ClusterRefused(SECRET, status=403), 403, "unauthorized"),
        (errors.ClusterNotFound(SECRET, status=404, kind="index_not_found_exception"), 404, "invalid_input"),
        (errors.ClusterConflict(SECRET, status=409), 502, "cluster_error"),
        (errors.ClusterRejected(SECRET, status=400, kind="parsing_exception"), 502, "cluster_error"),
        (errors.EnvironmentProblem(f"/{SECRET}/model.onnx is missing"), 500, "internal"),
        (errors.MigrationError(SECRET), 500, "internal"),
        (RuntimeError(SECRET), 500, "internal"),
    ],
)
def test_errors_map(error: Exception, status: int, kind: str) -> None:
    refusal = refusal_of(error)
    assert (refusal.status, refusal.kind) == (status, kind)
    assert SECRET not in refusal.reason
    assert ("retry-after" in refusal.headers) == (status == 429)


def test_a_filter_that_the_cluster_refused_is_the_callers_mistake_and_not_quoted() -> None:
    error = errors.InvalidInput(f"filter: {SECRET}")
    error.__cause__ = errors.ClusterRejected(SECRET, status=400, kind="parsing_exception")
    refusal = refusal_of(error)
    assert refusal.reason == "filter: the cluster refused it (400 parsing_exception)"


def test_a_refusal_stays_as_it_is() -> None:
    refusal = Refusal(413, "too_large", "body: over the limit of 10 bytes")
    assert refusal_of(refusal) is refusal
    assert refusal.body() == {"error": {"type": "too_large", "reason": "body: over the limit of 10 bytes"}}
