# bash completion for jetstream. Put this into ~/.bashrc:
#     source <(jetstream completion bash)
_jetstream() {
	local words=() word glue="" i last prefix=""
	# Bash takes --flag=value apart; here it is one word.
	for ((i = 1; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		last=$((${#words[@]} - 1))
		if [[ $word == "=" && $last -ge 0 ]]; then
			words[last]+="="
			glue=1
		elif [[ -n $glue ]]; then
			words[last]+=$word
			glue=""
		else
			words+=("$word")
		fi
	done
	last=$((${#words[@]} - 1))
	case ${words[last]} in --*=*) prefix=${words[last]%%=*}= ;; esac
	COMPREPLY=()
	while IFS=$'\t' read -r word _; do
		COMPREPLY+=("${word#"$prefix"}")
	done < <("${COMP_WORDS[0]}" complete -- "${words[@]}" 2>/dev/null)
}
complete -o default -F _jetstream jetstream
