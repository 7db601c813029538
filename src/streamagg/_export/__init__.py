"""A response in the formats of others: a stream again, and OpenTelemetry."""
