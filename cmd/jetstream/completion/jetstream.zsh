#compdef jetstream
# zsh completion for jetstream. Put this into ~/.zshrc, after compinit:
#     source <(jetstream completion zsh)
_jetstream() {
	local word about
	local -a found shown ended
	while IFS=$'\t' read -r word about; do
		found+=("$word")
		shown+=("$word${about:+  -- $about}")
		[[ $word == *: ]] && ended=(-S '')
	done < <(${(Q)~words[1]} complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)
	if (( ${#found} )); then
		compadd -l "${(@)ended}" -d shown -a found
	else
		[[ $PREFIX == --*=* ]] && compset -P '*='
		_files
	fi
}
compdef _jetstream jetstream
