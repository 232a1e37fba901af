"""Lanes refuse what is too much, forget what nobody waits for, and let queries go first."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from opensearch_multimodal.service.lanes import Gate, Job, Lane
from opensearch_multimodal.service.metrics import Metrics
from opensearch_multimodal.service.refusal import Refusal


async def never() -> None:
    await asyncio.Event().wait()


def shown(metrics: Metrics, name: str) -> float:
    """Return the value of a metric, given as Prometheus would write it."""
    lines = metrics.render().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def test_one_more_than_threads_and_queue_is_refused() -> None:
    metrics = Metrics()
    lane = Lane("search", metrics, threads=1, queue=2)
    release = threading.Event()

    async def scenario() -> list[Any]:
        calls = [
            asyncio.create_task(lane.run(lambda n=n: release.wait() and n, Job(30), never)) for n in range(3)
        ]
        await until(lambda: shown(metrics, 'osmm_lane_running{lane="search"}') == 1)
        assert shown(metrics, 'osmm_lane_waiting{lane="search"}') == 2
        with pytest.raises(Refusal) as refused:
            await lane.run(lambda: None, Job(30), never)
        assert (refused.value.status, refused.value.headers["retry-after"]) == (429, "1")
        release.set()
        done = await asyncio.gather(*calls)
        assert await lane.run(lambda: "room again", Job(30), never) == "room again"
        return done

    assert asyncio.run(scenario()) == [0, 1, 2]
    lane.close()
    assert shown(metrics, 'osmm_rejected_total{lane="search"}') == 1
    assert shown(metrics, 'osmm_lane_waiting{lane="search"}') == 0
    assert shown(metrics, 'osmm_lane_running{lane="search"}') == 0


def test_a_call_that_waits_too_long_is_given_up_and_never_begun() -> None:
    metrics = Metrics()
    lane = Lane("passage", metrics, threads=1, queue=2)
    release, begun = threading.Event(), []

    async def scenario() -> None:
        first = asyncio.create_task(lane.run(release.wait, Job(30), never))
        await until(lambda: shown(metrics, 'osmm_lane_running{lane="passage"}') == 1)
        with pytest.raises(Refusal) as refused:
            await lane.run(lambda: begun.append(1), Job(0.05), never)
        assert (refused.value.status, refused.value.kind) == (504, "timed_out")
        release.set()
        assert await first

    asyncio.run(scenario())
    lane.close()
    assert not begun


def test_work_that_nobody_waits_for_ends_at_its_next_check() -> None:
    lane = Lane("passage", Metrics(), threads=1, queue=0)
    ended = threading.Event()

    def work(job: Job, go_on: threading.Event) -> None:
        try:
            while not go_on.wait(0.001):
                job.check()
        finally:
            ended.set()

    async def scenario() -> None:
        gone = asyncio.Event()

        async def caller() -> None:
            await gone.wait()

        job = Job(30)
        call = asyncio.create_task(lane.run(lambda: work(job, threading.Event()), job, caller))
        await asyncio.sleep(0.01)
        gone.set()
        with pytest.raises(Refusal) as refused:
            await call
        assert refused.value.status == 499
        await until(ended.is_set)

    asyncio.run(scenario())
    lane.close()


def test_closing_ends_the_work_in_hand() -> None:
    lane = Lane("passage", Metrics(), threads=1, queue=0)
    job, began = Job(30), threading.Event()

    def work() -> None:
        while True:
            began.set()
            job.check()

    async def scenario() -> None:
        call = asyncio.create_task(lane.run(work, job, never))
        await until(began.is_set)
        lane.close()
        with pytest.raises(Refusal):
            await call

    asyncio.run(scenario())


def test_passages_give_way_to_queries_but_not_for_ever() -> None:
    gate, order, job = Gate(patience=60), [], Job(60)
    inside, leave = threading.Event(), threading.Event()

    def query() -> None:
        with gate.urgent(job):
            inside.set()
            leave.wait(30)
            order.append("query")

    def passage() -> None:
        with gate.patient(job):
            order.append("passage")

    first = threading.Thread(target=query)
    first.start()
    assert inside.wait(30)
    second = threading.Thread(target=passage)
    second.start()
    leave.set()
    first.join(30)
    second.join(30)
    assert order == ["query", "passage"]
    with gate.urgent(job), Gate.patient(Gate(patience=0.01), job):
        pass
    impatient = Gate(patience=0.01)
    with impatient.urgent(job), impatient.patient(job):
        order.append("passage all the same")
    assert order[-1] == "passage all the same"


def test_a_batch_after_the_deadline_is_not_run() -> None:
    gate, job = Gate(), Job(0)
    for enter in (gate.urgent, gate.patient):
        with pytest.raises(Refusal), enter(job):
            raise AssertionError("the batch ran")
