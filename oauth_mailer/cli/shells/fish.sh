# Completion of oauth-mailer for fish, 3.1 or newer.
function __oauth_mailer_complete
    set -l program @PROGRAM@
    test -x $program; or set program oauth-mailer
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($program __complete words "="$before[2..-1] "=$current" 2>/dev/null)
    test (count $lines) -ge 3; or return
    set -l path (string sub -s (math 1 + (string length -- "$lines[2]")) -- "$lines[3]")
    switch $lines[1]
        case words
            string join \n -- $lines[4..-1]
        case files
            for one in (__fish_complete_path "$path")
                printf '%s%s\n' "$lines[2]" $one
            end
        case folders
            for one in (__fish_complete_directories "$path")
                printf '%s%s\n' "$lines[2]" $one
            end
    end
end
complete -c oauth-mailer -f -a '(__oauth_mailer_complete)'
