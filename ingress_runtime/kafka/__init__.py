"""Kafka for every process that speaks it: settings, connection, topics, and the one producer.

Everything but `settings` needs aiokafka, which the extra `kafka` brings.
"""
