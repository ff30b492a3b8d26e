# fish completion for jetstream. Put it where fish looks for it:
#     jetstream completion fish >~/.config/fish/completions/jetstream.fish
function __jetstream_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l program (string replace -r -- '^~/' "$HOME/" $words[1])
    set -l found ($program complete -- $words[2..-1] 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        # Of --flag=FILE the file alone is a path.
        set -l flag (string match -r -- '^--[^=]*=' (commandline -ct))
        for path in (__fish_complete_path (string replace -r -- '^--[^=]*=' '' (commandline -ct)))
            printf '%s%s\n' "$flag" $path
        end
    end
end
complete -c jetstream -f -a '(__jetstream_complete)'
