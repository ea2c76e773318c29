"""What a store was set up to follow: it cannot be told to follow something else."""

from __future__ import annotations

from reconciler.git.remote import redact
from reconciler.settings import Settings
from reconciler.store.protocol import ConfigurationState


def remembered_url(url: str) -> str:
    """Give the URL as the store keeps it: without what may be a secret. A user of ssh is none, and is needed."""
    return url if url.startswith("ssh://") else redact(url)


def differs(settings: Settings, state: ConfigurationState) -> str | None:
    """Say in a sentence what the settings name that is not what the store has followed until now; None: nothing."""
    if state.admitted_revision is None:
        return None
    url = redact(settings.config_url or "")
    was = (redact(state.url) if state.url else url, state.branch, state.config_path)
    settled = (("config_url", url), ("config_branch", settings.config_branch), ("config_path", settings.config_path))
    for (name, now), before in zip(settled, was, strict=True):
        if before is not None and before != now:
            return (
                f"{name} is {now}, but what is remembered here came from {before}: set {name} back, or start "
                "with a data directory and database of its own (data_dir, database_url)"
            )
    return None


def with_remembered(settings: Settings, state: ConfigurationState) -> Settings:
    """Fill in what the settings do not say of the configuration repository, from what the store remembers."""
    if settings.config_url or state.url is None:
        return settings
    branch, path = state.branch or settings.config_branch, state.config_path or settings.config_path
    return settings.model_copy(update={"config_url": state.url, "config_branch": branch, "config_path": path})


__all__ = ["differs", "remembered_url", "with_remembered"]
