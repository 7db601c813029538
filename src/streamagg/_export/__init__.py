"""A response in other formats: as a stream again, and as OpenTelemetry attributes."""
