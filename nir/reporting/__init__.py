"""Reporting: from metrics and predictions on disk to tables, figures and the page."""
