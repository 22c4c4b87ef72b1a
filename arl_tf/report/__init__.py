"""An audit's results for people: report.json, report.html, pictures, TensorBoard."""
