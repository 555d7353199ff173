#compdef oauth-mailer
# Completion of oauth-mailer for zsh: to be loaded by compinit from a folder of $fpath, or by source after it.
_oauth_mailer() {
    local program=@PROGRAM@ line kind prefix
    local -a typed lines items
    [[ -x $program ]] || program=oauth-mailer
    typed=("${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}")
    lines=("${(@f)$($program __complete words "${(@)typed/#/=}" 2>/dev/null)}")
    kind=$lines[1] prefix=$lines[2]
    case $kind in
        (words)
            for line in "${(@)lines[4,-1]}"; do
                items+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
            done
            _describe oauth-mailer items
            ;;
        (files) compset -p ${#prefix} && _files ;;
        (folders) compset -p ${#prefix} && _files -/ ;;
    esac
}
if [[ $funcstack[1] == _oauth-mailer ]]; then
    _oauth_mailer "$@"
else
    compdef _oauth_mailer oauth-mailer
fi
