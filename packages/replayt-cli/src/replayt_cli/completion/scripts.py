"""The scripts that teach a shell to ask `replayt` what may come next."""

from __future__ import annotations

SHELLS = ("bash", "zsh", "fish", "powershell")

_BASH = r"""# Completion of replayt for bash. In ~/.bashrc:
#   eval "$(replayt --show-completion bash)"
_replayt_completion() {
    local kind line program=$1
    [[ $program == '~/'* ]] && program=$HOME/${program:2}
    COMPREPLY=()
    {
        IFS= read -r kind
        case $kind in
            values)
                while IFS= read -r line; do COMPREPLY+=("$line"); done
                if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then
                    compopt -o nospace 2>/dev/null
                fi
                ;;
            files | dirs)
                compopt -o filenames 2>/dev/null
                local action=-f
                [[ $kind == dirs ]] && action=-d
                while IFS= read -r line; do COMPREPLY+=("$line"); done \
                    < <(compgen "$action" -- "$2")
                ;;
        esac
    } < <(_REPLAYT_COMPLETE=bash _REPLAYT_LINE="${COMP_LINE:0:COMP_POINT}" _REPLAYT_WORD="$2" \
        "$program" 2>/dev/null)
}
complete -o nosort -F _replayt_completion replayt 2>/dev/null ||
    complete -F _replayt_completion replayt
"""

_ZSH = r"""#compdef replayt
# Completion of replayt for zsh. In ~/.zshrc:
#   eval "$(replayt --show-completion zsh)"
_replayt() {
    local kind line value help program=${(Q)words[1]}
    [[ $program == '~/'* ]] && program=$HOME/${program:2}
    local -a lines candidates before
    before=("${(@Q)words[1,CURRENT-1]}")
    lines=("${(@f)$(_REPLAYT_COMPLETE=zsh \
        _REPLAYT_WORDS="${(pj:\n:)before}" _REPLAYT_WORD="${(Q)PREFIX}" \
        "$program" 2>/dev/null)}")
    kind=$lines[1]
    case $kind in
        files) compset -P '--*='; _files ;;
        dirs) compset -P '--*='; _files -/ ;;
        values)
            for line in "${(@)lines[2,-1]}"; do
                value=${line%%$'\t'*} help=${line#*$'\t'}
                # Behind a backtick, what zsh escapes is unescaped once more.
                [[ $PREBUFFER$LBUFFER == *\`* && $value == *[^a-zA-Z0-9_.:/=+@%,-]* ]] && continue
                candidates+=("${${value//\\/\\\\}//:/\\:}${help:+:$help}")
            done
            (( $#candidates )) && _describe -V replayt candidates
            ;;
    esac
}
if [[ $funcstack[1] == _replayt ]]; then
    _replayt "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i; }
    compdef _replayt replayt
fi
"""

_FISH = r"""# Completion of replayt for fish. Once:
#   replayt --show-completion fish > ~/.config/fish/completions/replayt.fish
function __replayt_complete
    set -l before (commandline -opc)
    set -l word (commandline -ct)
    set -lx _REPLAYT_COMPLETE fish
    set -lx _REPLAYT_WORDS (string join \n -- $before | string collect)
    set -lx _REPLAYT_WORD (string unescape -- $word 2>/dev/null
        or string replace -r -- '^(--[^=]+=)?["\']' '$1' $word)
    set -l lines ($before[1] 2>/dev/null)
    set -l prefix (string match -r -- '^--[^=]+=' $word)
    set -l path (string replace -r -- '^--[^=]+=' '' $word)
    switch "$lines[1]"
        case files
            for path in (__fish_complete_path $path)
                echo "$prefix$path"
            end
        case dirs
            for path in (__fish_complete_directories "$path" '')
                echo "$prefix$path"
            end
        case values
            printf '%s\n' $lines[2..-1]
    end
end
complete --command replayt --no-files --keep-order --arguments '(__replayt_complete)'
"""

_POWERSHELL = r"""# Completion of replayt for PowerShell. In the file that $PROFILE names:
#   replayt --show-completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName replayt -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition } |
        ForEach-Object { if ($_.Value) { $_.Value } else { $_.ToString() } })
    $Env:_REPLAYT_COMPLETE = 'powershell'
    $Env:_REPLAYT_WORDS = $words -join "`n"
    $Env:_REPLAYT_WORD = "$wordToComplete".Trim("'`"")
    try {
        # Where the answer is empty, PowerShell completes the names of files itself.
        & $words[0] 2>$null | Select-Object -Skip 1 | ForEach-Object {
            $value, $help = $_ -split "`t", 2
            if (-not $help) { $help = $value }
            [System.Management.Automation.CompletionResult]::new(
                $value, $value, 'ParameterValue', $help)
        }
    } finally {
        Remove-Item Env:_REPLAYT_* -ErrorAction SilentlyContinue
    }
}
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH, "powershell": _POWERSHELL}


def script(shell: str) -> str:
    """The script for a shell. Raises `KeyError` for one that is not in `SHELLS`."""
    return _SCRIPTS[shell]
