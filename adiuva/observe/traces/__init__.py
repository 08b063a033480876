"""Traces over OpenTelemetry, made only where ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set; nothing else imports its packages.

A span has names, sizes, times and outcomes. Paths, queries, headers, addresses of clients, values of SQL, messages,
answers, and the texts of errors are in none.
"""
