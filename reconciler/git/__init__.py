"""Git by libgit2: mirrors of remotes, trees by revision, work directories. No `git` process, no hooks, no filters."""
