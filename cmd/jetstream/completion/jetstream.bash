# bash completion for jetstream. Put this into ~/.bashrc:
#     source <(jetstream completion bash)
_jetstream() {
	local words=() word about i last prefix="" rest=$COMP_LINE
	# Bash takes --flag=value and user@host: apart; here what no space separates is
	# one word.
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		last=$((${#words[@]} - 1))
		if [[ $i -gt 0 && -n $word && $rest == "$word"* ]]; then
			words[last]+=$word
		else
			words+=("$word")
		fi
		[[ -n $word ]] && rest=${rest#*"$word"}
	done
	# It replaces only what follows the last of these characters.
	word=${words[${#words[@]} - 1]}
	for ((i = ${#word}; i > 0; i--)); do
		if [[ $COMP_WORDBREAKS == *"${word:i-1:1}"* ]]; then
			prefix=${word:0:i}
			break
		fi
	done
	COMPREPLY=()
	while IFS=$'\t' read -r word about; do
		[[ $word == *: ]] && compopt -o nospace 2>/dev/null
		COMPREPLY+=("${word#"$prefix"}")
	done < <("${COMP_WORDS[0]/#\~/$HOME}" complete -- "${words[@]:1}" 2>/dev/null)
}
complete -o default -F _jetstream jetstream
