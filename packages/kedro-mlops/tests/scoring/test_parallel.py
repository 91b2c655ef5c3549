from kedro_mlops.scoring.parallel import in_order


def test_results_come_in_order_and_items_are_not_taken_long_before(monkeypatch):
    monkeypatch.setattr("kedro_mlops.scoring.parallel.cpu_count", lambda: 3)
    taken = []

    def items():
        for item in range(20):
            taken.append(item)
            yield item

    results = in_order(lambda item: item * item, items())

    assert next(results) == 0
    assert len(taken) == 4
    assert [*results] == [item * item for item in range(1, 20)]
