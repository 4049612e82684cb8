from ingress_testbed.demo.observer import sums


def test_metrics_are_summed_over_their_labels() -> None:
    text = (
        "# TYPE frames counter\n"
        'frames_total{provider="a"} 2\n'
        'frames_total{provider="b"} 3\n'
        "# TYPE pending gauge\n"
        "pending 7\n"
    )

    assert sums(text)["frames_total"] == 5
    assert sums(text)["pending"] == 7
