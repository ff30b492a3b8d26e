# fish completion for jetstream. Put it where fish looks for it:
#     jetstream completion fish >~/.config/fish/completions/jetstream.fish
function __jetstream_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] complete -- $words[2..-1] 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c jetstream -f -a '(__jetstream_complete)'
