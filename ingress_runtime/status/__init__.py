"""`ingress status`: where messages wait and why, read from the processes' own metrics.

Processes are scraped (`scraping`), two readings of each make a window (`window`), and every room
tells what its metrics mean (`section`, by the entry points of the group `ingress.status`). The words
at the end (`verdict`) follow from that alone.
"""
