complete --keep-order --exclusive --command wick --arguments "(WICK_COMPLETE=fish wick -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
