# Completion of oauth-mailer for bash, 3.2 or newer.
_oauth_mailer() {
    local program=@PROGRAM@ typed=$2 kind prefix whole cut value text
    COMPREPLY=()
    [ -x "$program" ] || program=oauth-mailer
    {
        IFS= read -r kind && IFS= read -r prefix && IFS= read -r whole || return 0
        # What bash sees of the word may begin after a = or : or @ in it.
        cut=
        case $whole in *"$typed") cut=${whole%"$typed"} ;; esac
        if [ "$kind" = words ]; then
            while IFS=$'\t' read -r value text; do
                COMPREPLY+=("${value#"$cut"}")
            done
        else
            local option=-f
            [ "$kind" = files ] || option=-d
            compopt -o filenames 2>/dev/null
            while IFS= read -r value; do
                value=$prefix$value
                COMPREPLY+=("${value#"$cut"}")
            done < <(compgen "$option" -- "${whole#"$prefix"}")
        fi
    } < <("$program" __complete line "=${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
}
complete -F _oauth_mailer oauth-mailer
