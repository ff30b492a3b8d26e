#compdef jetstream
# zsh completion for jetstream. Put this into ~/.zshrc, after compinit:
#     source <(jetstream completion zsh)
_jetstream() {
	local word about
	local -a found shown
	while IFS=$'\t' read -r word about; do
		found+=("$word")
		shown+=("$word${about:+  -- $about}")
	done < <("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
	if (( ${#found} )); then
		compadd -l -d shown -a found
	else
		[[ $PREFIX == --*=* ]] && compset -P '*='
		_files
	fi
}
compdef _jetstream jetstream
