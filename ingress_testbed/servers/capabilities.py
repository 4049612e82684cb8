"""What a broker can do. Tests that need more than theirs has are skipped by this, not by a name."""

from enum import StrEnum


class Capability(StrEnum):
    """One thing that not every broker can do."""

    IDEMPOTENCE = "idempotence"
    """Numbers a producer's batches, so that its retries are written once."""

    REPLICATION = "replication"
    """Several brokers hold each record, and one of them may be lost."""

    SURVIVES_KILL = "survives_kill"
    """Keeps what it acknowledged over SIGKILL and a new start."""

    TRUE_END_OFFSETS = "true_end_offsets"
    """Reports the end of a partition as it is, not as it was a batch ago."""

    REPORTS_MISSING_TOPICS = "reports_missing_topics"
    """Says that a topic is missing, where others make one when they are asked about it."""

    ADDS_PARTITIONS = "adds_partitions"
    """Gives a topic more partitions while it is in use."""

    LIMITS_BATCHES = "limits_batches"
    """Refuses a batch that is larger than its topic allows."""

    CONSUMER_GROUPS = "consumer_groups"
    """Shares partitions among the members of a group, and keeps its offsets."""

    OWN_PROCESS = "own_process"
    """Runs here, as a process that can be killed, hung and started again."""
