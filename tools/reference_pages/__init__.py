"""The makers of the reference pages: each module has `pages() -> {path below docs/reference: content}`."""
