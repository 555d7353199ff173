# Completion of oauth-mailer for PowerShell, 5.0 or newer.
Register-ArgumentCompleter -Native -CommandName oauth-mailer -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $program = @PROGRAM@
    if (-not (Get-Command $program -ErrorAction SilentlyContinue)) { $program = 'oauth-mailer' }
    # Each word has a = in front of it: PowerShell drops empty ones.
    $words = @($commandAst.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.StartOffset -lt $cursorPosition } |
        ForEach-Object { '=' + $(if ($_.Value -is [string]) { $_.Value } else { $_.Extent.Text }) })
    if (-not $wordToComplete) { $words += '=' }
    $lines = @(& $program __complete words $words 2>$null)
    # Where nothing comes of this, PowerShell completes the names of files by itself.
    if ($lines.Count -ge 3 -and $lines[0] -eq 'words') {
        $lines | Select-Object -Skip 3 | ForEach-Object {
            $value, $text = $_ -split "`t", 2
            if (-not $text) { $text = $value }
            [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $text)
        }
    }
}
