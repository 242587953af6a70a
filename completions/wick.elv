
set edit:completion:arg-completer[wick] = { |@words|
    var index = (count $words)
    set index = (- $index 1)

    put (env _CLAP_IFS="\n" _CLAP_COMPLETE_INDEX=(to-string $index) WICK_COMPLETE="elvish" wick -- $@words) | to-lines
}

