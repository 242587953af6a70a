# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_wick_global_optspecs
    string join \n q/quiet h/help V/version
end

function __fish_wick_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_wick_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_wick_using_subcommand
    set -l cmd (__fish_wick_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c wick -n "__fish_wick_needs_command" -s q -l quiet -d 'Only errors on stderr: no progress, notes or figures'
complete -c wick -n "__fish_wick_needs_command" -s h -l help -d 'Print help'
complete -c wick -n "__fish_wick_needs_command" -s V -l version -d 'Print version'
complete -c wick -n "__fish_wick_needs_command" -f -a "run" -d 'Answer one prompt; standard output gets the answer and nothing else'
complete -c wick -n "__fish_wick_needs_command" -f -a "chat" -d 'Chat with a model; piped input is one turn per line'
complete -c wick -n "__fish_wick_needs_command" -f -a "download" -d 'Fetch models into the Hub\'s shared cache; prints where they are'
complete -c wick -n "__fish_wick_needs_command" -f -a "quantize" -d 'Write a model as GGUF, quantized tensor by tensor'
complete -c wick -n "__fish_wick_needs_command" -f -a "bench" -d 'Measure the speed of prompts and of generation'
complete -c wick -n "__fish_wick_needs_command" -f -a "models" -d 'List the models that have a name, or show one card in full'
complete -c wick -n "__fish_wick_needs_command" -f -a "inspect" -d 'Show what the loader sees in a model: its columns, tensors, tokenizer, prompt and memory'
complete -c wick -n "__fish_wick_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c wick -n "__fish_wick_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c wick -n "__fish_wick_using_subcommand run" -s p -l prompt -d 'The prompt, as a flag' -r
complete -c wick -n "__fish_wick_using_subcommand run" -s f -l file -d 'Read the prompt from a file' -r -F
complete -c wick -n "__fish_wick_using_subcommand run" -l prompt-ids -d 'Token ids instead of text, as 1,2,3; needs no tokenizer' -r
complete -c wick -n "__fish_wick_using_subcommand run" -s m -l model -d 'A folder, a .gguf, a .safetensors, a card\'s name (`wick models`) or a hub id ORG/NAME[@REVISION][:FILE_OR_QUANT] [default: the embedded demo model]' -r
complete -c wick -n "__fish_wick_using_subcommand run" -l revision -d 'Branch, tag or commit of a hub id' -r
complete -c wick -n "__fish_wick_using_subcommand run" -l quant -d 'Quantize while loading: int8 (Q8_0), int4 (Q4_0; embedding and head Q8_0), none, or a GGUF type' -r
complete -c wick -n "__fish_wick_using_subcommand run" -l dtype -d 'Keep the weights in this type' -r -f -a "f32\t''
f16\t''
bf16\t''"
complete -c wick -n "__fish_wick_using_subcommand run" -l device -d 'cpu, cuda, cuda:N or metal' -r
complete -c wick -n "__fish_wick_using_subcommand run" -s t -l threads -d 'Threads that work [default: the physical cores]' -r
complete -c wick -n "__fish_wick_using_subcommand run" -s c -l ctx-size -d 'Tokens of prompt and answer together [default: the model\'s, as far as memory goes]' -r
complete -c wick -n "__fish_wick_using_subcommand run" -l cache-type -d 'Type of the KV cache [default: f32 where the weights are f32, f16 otherwise]' -r -f -a "f32\t''
f16\t''
q8_0\t''"
complete -c wick -n "__fish_wick_using_subcommand run" -s n -l max-tokens -d 'At most N new tokens [default: until the model or the context ends]' -r
complete -c wick -n "__fish_wick_using_subcommand run" -l stop -d 'End the answer before this text (repeatable)' -r
complete -c wick -n "__fish_wick_using_subcommand run" -s s -l system -d 'System message' -r
complete -c wick -n "__fish_wick_using_subcommand run" -l template -d 'Chat format: a name (`wick inspect` lists them) or a file with a Jinja template [default: the model\'s own]' -r
complete -c wick -n "__fish_wick_using_subcommand run" -l cot -d 'Think first: zero (step by step, then the answer), few (after worked examples) or vote:N (N sampled chains; the answer that most of them reach)' -r
complete -c wick -n "__fish_wick_using_subcommand run" -s o -l output -d 'What standard output gets' -r -f -a "text\t''
json\t''
jsonl\t''"
complete -c wick -n "__fish_wick_using_subcommand run" -l logits -d 'Also write `ids` (i64 [T]) and `logits` (f32 [T, V]) of every position that was run' -r -F
complete -c wick -n "__fish_wick_using_subcommand run" -l dump -d 'Also write every named intermediate (blk.3.attn_out …)' -r -F
complete -c wick -n "__fish_wick_using_subcommand run" -l temp -d 'Temperature; 0 is greedy and repeatable' -r
complete -c wick -n "__fish_wick_using_subcommand run" -l top-k -d 'Only the K likeliest tokens; 0 for all' -r
complete -c wick -n "__fish_wick_using_subcommand run" -l top-p -d 'Only the likeliest tokens that together reach probability P' -r
complete -c wick -n "__fish_wick_using_subcommand run" -l min-p -d 'Only tokens at least P times as likely as the likeliest' -r
complete -c wick -n "__fish_wick_using_subcommand run" -l repeat-penalty -d 'Make recent tokens less likely; 1 is off' -r
complete -c wick -n "__fish_wick_using_subcommand run" -l repeat-last-n -d 'How many tokens are recent' -r
complete -c wick -n "__fish_wick_using_subcommand run" -l seed -d 'Repeat the choices of an earlier run [default: random, and reported]' -r
complete -c wick -n "__fish_wick_using_subcommand run" -l raw -d 'The prompt as it is, without a chat format'
complete -c wick -n "__fish_wick_using_subcommand run" -l offline -d 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]'
complete -c wick -n "__fish_wick_using_subcommand run" -l ignore-eos -d 'Go on after the model\'s end tokens'
complete -c wick -n "__fish_wick_using_subcommand run" -l infill -d 'Fill the blanks of the prompt, [MASK], [sMASK] or [gMASK] (GLM), <extra_id_0> … (T5), and print the text with them'
complete -c wick -n "__fish_wick_using_subcommand run" -s q -l quiet -d 'Only errors on stderr: no progress, notes or figures'
complete -c wick -n "__fish_wick_using_subcommand run" -s h -l help -d 'Print help'
complete -c wick -n "__fish_wick_using_subcommand chat" -s m -l model -d 'A folder, a .gguf, a .safetensors, a card\'s name (`wick models`) or a hub id ORG/NAME[@REVISION][:FILE_OR_QUANT] [default: the embedded demo model]' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -l revision -d 'Branch, tag or commit of a hub id' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -l quant -d 'Quantize while loading: int8 (Q8_0), int4 (Q4_0; embedding and head Q8_0), none, or a GGUF type' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -l dtype -d 'Keep the weights in this type' -r -f -a "f32\t''
f16\t''
bf16\t''"
complete -c wick -n "__fish_wick_using_subcommand chat" -l device -d 'cpu, cuda, cuda:N or metal' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -s t -l threads -d 'Threads that work [default: the physical cores]' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -s c -l ctx-size -d 'Tokens of prompt and answer together [default: the model\'s, as far as memory goes]' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -l cache-type -d 'Type of the KV cache [default: f32 where the weights are f32, f16 otherwise]' -r -f -a "f32\t''
f16\t''
q8_0\t''"
complete -c wick -n "__fish_wick_using_subcommand chat" -s n -l max-tokens -d 'At most N new tokens [default: until the model or the context ends]' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -l stop -d 'End the answer before this text (repeatable)' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -s s -l system -d 'System message' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -l template -d 'Chat format: a name (`wick inspect` lists them) or a file with a Jinja template [default: the model\'s own]' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -l cot -d 'Think first: zero (step by step, then the answer), few (after worked examples) or vote:N (N sampled chains; the answer that most of them reach)' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -l temp -d 'Temperature; 0 is greedy and repeatable' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -l top-k -d 'Only the K likeliest tokens; 0 for all' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -l top-p -d 'Only the likeliest tokens that together reach probability P' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -l min-p -d 'Only tokens at least P times as likely as the likeliest' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -l repeat-penalty -d 'Make recent tokens less likely; 1 is off' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -l repeat-last-n -d 'How many tokens are recent' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -l seed -d 'Repeat the choices of an earlier run [default: random, and reported]' -r
complete -c wick -n "__fish_wick_using_subcommand chat" -l offline -d 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]'
complete -c wick -n "__fish_wick_using_subcommand chat" -l ignore-eos -d 'Go on after the model\'s end tokens'
complete -c wick -n "__fish_wick_using_subcommand chat" -s q -l quiet -d 'Only errors on stderr: no progress, notes or figures'
complete -c wick -n "__fish_wick_using_subcommand chat" -s h -l help -d 'Print help'
complete -c wick -n "__fish_wick_using_subcommand download" -l revision -d 'Branch, tag or commit of a hub id' -r
complete -c wick -n "__fish_wick_using_subcommand download" -l include -d 'Fetch the files that match instead of what loading needs (repeatable)' -r
complete -c wick -n "__fish_wick_using_subcommand download" -l exclude -d 'Leave out the files that match (repeatable)' -r
complete -c wick -n "__fish_wick_using_subcommand download" -l local-dir -d 'Fetch into this folder as plain files instead of the cache' -r -F
complete -c wick -n "__fish_wick_using_subcommand download" -l offline -d 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]'
complete -c wick -n "__fish_wick_using_subcommand download" -l dry-run -d 'Show files and sizes; fetch nothing'
complete -c wick -n "__fish_wick_using_subcommand download" -s q -l quiet -d 'Only errors on stderr: no progress, notes or figures'
complete -c wick -n "__fish_wick_using_subcommand download" -s h -l help -d 'Print help'
complete -c wick -n "__fish_wick_using_subcommand quantize" -s o -l output -d 'The file to write' -r -F
complete -c wick -n "__fish_wick_using_subcommand quantize" -l quant -d 'int8 (Q8_0), int4 (Q4_0; embedding and head Q8_0), f32, f16, bf16, a GGUF type, or none to keep what is stored' -r
complete -c wick -n "__fish_wick_using_subcommand quantize" -l base -d 'MODEL is only the difference from this one (a folder): add the two, as for tatsu-lab/alpaca-7b-wdiff and LLaMA-7B; or it is encrypted with this one\'s consolidated.00.pth, as the BELLE-LLaMA-*-enc are' -r -F
complete -c wick -n "__fish_wick_using_subcommand quantize" -s t -l threads -d 'Threads that work [default: the physical cores]' -r
complete -c wick -n "__fish_wick_using_subcommand quantize" -l revision -d 'Branch, tag or commit of a hub id' -r
complete -c wick -n "__fish_wick_using_subcommand quantize" -l force -d 'Overwrite the file if it exists'
complete -c wick -n "__fish_wick_using_subcommand quantize" -l offline -d 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]'
complete -c wick -n "__fish_wick_using_subcommand quantize" -s q -l quiet -d 'Only errors on stderr: no progress, notes or figures'
complete -c wick -n "__fish_wick_using_subcommand quantize" -s h -l help -d 'Print help'
complete -c wick -n "__fish_wick_using_subcommand bench" -s m -l model -d 'A folder, a .gguf, a .safetensors, a card\'s name or a hub id' -r
complete -c wick -n "__fish_wick_using_subcommand bench" -s p -l n-prompt -d 'Prompts of these lengths; 0 for none' -r
complete -c wick -n "__fish_wick_using_subcommand bench" -s n -l n-gen -d 'Answers of these lengths; 0 for none' -r
complete -c wick -n "__fish_wick_using_subcommand bench" -s d -l n-depth -d 'Tokens that are in the cache before' -r
complete -c wick -n "__fish_wick_using_subcommand bench" -s r -l repetitions -d 'How often each is measured' -r
complete -c wick -n "__fish_wick_using_subcommand bench" -s t -l threads -d 'Threads [default: the physical cores]' -r
complete -c wick -n "__fish_wick_using_subcommand bench" -s o -l output -d 'How the table is written' -r -f -a "md\t''
json\t''
jsonl\t''
csv\t''"
complete -c wick -n "__fish_wick_using_subcommand bench" -l quant -d 'Quantize while loading: int8, int4, none, or a GGUF type' -r
complete -c wick -n "__fish_wick_using_subcommand bench" -l device -d 'cpu, cuda, cuda:N or metal' -r
complete -c wick -n "__fish_wick_using_subcommand bench" -l cache-type -d 'Type of the KV cache [default: f32 where the weights are f32, f16 otherwise]' -r -f -a "f32\t''
f16\t''
q8_0\t''"
complete -c wick -n "__fish_wick_using_subcommand bench" -l revision -d 'Branch, tag or commit of a hub id' -r
complete -c wick -n "__fish_wick_using_subcommand bench" -l offline -d 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]'
complete -c wick -n "__fish_wick_using_subcommand bench" -s q -l quiet -d 'Only errors on stderr: no progress, notes or figures'
complete -c wick -n "__fish_wick_using_subcommand bench" -s h -l help -d 'Print help'
complete -c wick -n "__fish_wick_using_subcommand models" -l lang -d 'Language of the table [default: Chinese in a Chinese locale, English otherwise]' -r -f -a "en\t''
zh\t''"
complete -c wick -n "__fish_wick_using_subcommand models" -s q -l quiet -d 'Only errors on stderr: no progress, notes or figures'
complete -c wick -n "__fish_wick_using_subcommand models" -s h -l help -d 'Print help'
complete -c wick -n "__fish_wick_using_subcommand inspect" -l revision -d 'Branch, tag or commit of a hub id' -r
complete -c wick -n "__fish_wick_using_subcommand inspect" -s p -l prompt -d 'Show this text as the model gets it, with its ids' -r
complete -c wick -n "__fish_wick_using_subcommand inspect" -s s -l system -d 'System message of the prompt' -r
complete -c wick -n "__fish_wick_using_subcommand inspect" -l template -d 'Chat format: a name or a file with a Jinja template [default: the model\'s own]' -r
complete -c wick -n "__fish_wick_using_subcommand inspect" -l quant -d 'Quantize while loading: int8 (Q8_0), int4 (Q4_0; embedding and head Q8_0), none, or a GGUF type' -r
complete -c wick -n "__fish_wick_using_subcommand inspect" -l dtype -d 'Keep the weights in this type' -r -f -a "f32\t''
f16\t''
bf16\t''"
complete -c wick -n "__fish_wick_using_subcommand inspect" -l device -d 'cpu, cuda, cuda:N or metal' -r
complete -c wick -n "__fish_wick_using_subcommand inspect" -s t -l threads -d 'Threads that work [default: the physical cores]' -r
complete -c wick -n "__fish_wick_using_subcommand inspect" -s c -l ctx-size -d 'Tokens of prompt and answer together [default: the model\'s, as far as memory goes]' -r
complete -c wick -n "__fish_wick_using_subcommand inspect" -l cache-type -d 'Type of the KV cache [default: f32 where the weights are f32, f16 otherwise]' -r -f -a "f32\t''
f16\t''
q8_0\t''"
complete -c wick -n "__fish_wick_using_subcommand inspect" -l offline -d 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]'
complete -c wick -n "__fish_wick_using_subcommand inspect" -l raw -d 'The prompt without a chat format'
complete -c wick -n "__fish_wick_using_subcommand inspect" -l tensors -d 'List every tensor'
complete -c wick -n "__fish_wick_using_subcommand inspect" -s q -l quiet -d 'Only errors on stderr: no progress, notes or figures'
complete -c wick -n "__fish_wick_using_subcommand inspect" -s h -l help -d 'Print help'
complete -c wick -n "__fish_wick_using_subcommand completions" -s q -l quiet -d 'Only errors on stderr: no progress, notes or figures'
complete -c wick -n "__fish_wick_using_subcommand completions" -s h -l help -d 'Print help'
complete -c wick -n "__fish_wick_using_subcommand help; and not __fish_seen_subcommand_from run chat download quantize bench models inspect completions help" -f -a "run" -d 'Answer one prompt; standard output gets the answer and nothing else'
complete -c wick -n "__fish_wick_using_subcommand help; and not __fish_seen_subcommand_from run chat download quantize bench models inspect completions help" -f -a "chat" -d 'Chat with a model; piped input is one turn per line'
complete -c wick -n "__fish_wick_using_subcommand help; and not __fish_seen_subcommand_from run chat download quantize bench models inspect completions help" -f -a "download" -d 'Fetch models into the Hub\'s shared cache; prints where they are'
complete -c wick -n "__fish_wick_using_subcommand help; and not __fish_seen_subcommand_from run chat download quantize bench models inspect completions help" -f -a "quantize" -d 'Write a model as GGUF, quantized tensor by tensor'
complete -c wick -n "__fish_wick_using_subcommand help; and not __fish_seen_subcommand_from run chat download quantize bench models inspect completions help" -f -a "bench" -d 'Measure the speed of prompts and of generation'
complete -c wick -n "__fish_wick_using_subcommand help; and not __fish_seen_subcommand_from run chat download quantize bench models inspect completions help" -f -a "models" -d 'List the models that have a name, or show one card in full'
complete -c wick -n "__fish_wick_using_subcommand help; and not __fish_seen_subcommand_from run chat download quantize bench models inspect completions help" -f -a "inspect" -d 'Show what the loader sees in a model: its columns, tensors, tokenizer, prompt and memory'
complete -c wick -n "__fish_wick_using_subcommand help; and not __fish_seen_subcommand_from run chat download quantize bench models inspect completions help" -f -a "completions" -d 'Print completions for a shell'
complete -c wick -n "__fish_wick_using_subcommand help; and not __fish_seen_subcommand_from run chat download quantize bench models inspect completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
