"""What can go wrong between a process and its Kafka cluster; aiokafka's errors end here.

KafkaTrouble
├── BrokersUnreachable    no connection came about, or it broke
├── BrokersSilent         no answer in time; what was sent may have arrived
├── NotAllowed            a wrong user, password or certificate, or an ACL that is missing
├── TopicMissing          the topic is not there
├── NotWritable           a partition without leader or enough replicas: it may come back
├── RecordsTooLarge       the brokers take no batch of this size
└── RecordsRejected       the brokers take no batch with this content
"""

import ssl

from aiokafka import errors


class KafkaTrouble(Exception):
    """Base of all. The text says what is wrong, where, and what to do."""


class BrokersUnreachable(KafkaTrouble):
    """No connection to any broker, or it broke."""


class BrokersSilent(KafkaTrouble):
    """No answer in time. What was sent may have arrived."""


class NotAllowed(KafkaTrouble):
    """The brokers refuse who we are, or what we want to do."""


class TopicMissing(KafkaTrouble):
    """The topic is not there."""


class NotWritable(KafkaTrouble):
    """The brokers cannot take records now."""


class RecordsTooLarge(KafkaTrouble):
    """The brokers take no batch of this size."""


class RecordsRejected(KafkaTrouble):
    """The brokers take no batch with this content."""


_MEANINGS: tuple[tuple[tuple[type[BaseException], ...], type[KafkaTrouble], str], ...] = (
    (
        (
            errors.AuthenticationFailedError,
            errors.AuthenticationMethodNotSupported,
            errors.ClusterAuthorizationFailedError,
            errors.GroupAuthorizationFailedError,
            errors.IllegalSaslStateError,
            errors.SaslAuthenticationFailed,
            errors.TopicAuthorizationFailedError,
            errors.UnsupportedSaslMechanismError,
        ),
        NotAllowed,
        "the brokers refuse it: ",
    ),
    ((errors.UnknownTopicOrPartitionError,), TopicMissing, ""),
    ((errors.MessageSizeTooLargeError, errors.RecordListTooLargeError), RecordsTooLarge, ""),
    (
        (errors.InvalidTimestampError, errors.UnsupportedForMessageFormatError),
        RecordsRejected,
        "",
    ),
    ((ssl.SSLError,), BrokersUnreachable, "no secure connection: "),
    (
        (TimeoutError, errors.KafkaTimeoutError, errors.RequestTimedOutError),
        BrokersSilent,
        "",
    ),
    (
        (
            OSError,
            errors.KafkaConnectionError,
            errors.NoBrokersAvailable,
            errors.NodeNotReadyError,
        ),
        BrokersUnreachable,
        "",
    ),
)
"""What aiokafka's errors mean: the first that fits; what is not here may pass (NotWritable)."""

TRANSLATED = (errors.KafkaError, OSError)
"""What `translated` takes: all that aiokafka's clients raise for what is not our own mistake."""


def translated(error: BaseException) -> KafkaTrouble:
    """Return what an error of aiokafka means for us. What is ours already stays as it is."""
    if isinstance(error, KafkaTrouble):
        return error
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    for kinds, meaning, introduction in _MEANINGS:
        if isinstance(error, kinds):
            return meaning(introduction + said)
    return NotWritable(said)
