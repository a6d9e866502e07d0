"""The one upward wire: detection tells review and scans that analyses were finished.

`analysis_completed` is sent by scoring inside its transaction, once for a batch, with
`results: Sequence[AnalysisResult]`, each with `job`, `job.submission` and `policy` at hand. A
receiver makes a single call; when it raises, the batch is not written and will be analysed again.
"""

from django.dispatch import Signal

analysis_completed = Signal()
