"""Reports of finished runs: figures about their rows, and a page that draws them.

In short:

    report = make_report([Path("out.jsonl")], gold="label")
    Path("report.html").write_text(report_page(report), encoding="utf-8")
"""
