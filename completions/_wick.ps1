
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'wick' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'wick'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'wick' {
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Answer one prompt; standard output gets the answer and nothing else')
            [CompletionResult]::new('chat', 'chat', [CompletionResultType]::ParameterValue, 'Chat with a model; piped input is one turn per line')
            [CompletionResult]::new('download', 'download', [CompletionResultType]::ParameterValue, 'Fetch models into the Hub''s shared cache; prints where they are')
            [CompletionResult]::new('quantize', 'quantize', [CompletionResultType]::ParameterValue, 'Write a model as GGUF, quantized tensor by tensor')
            [CompletionResult]::new('bench', 'bench', [CompletionResultType]::ParameterValue, 'Measure the speed of prompts and of generation')
            [CompletionResult]::new('models', 'models', [CompletionResultType]::ParameterValue, 'List the models that have a name, or show one card in full')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show what the loader sees in a model: its columns, tensors, tokenizer, prompt and memory')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print completions for a shell')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'wick;run' {
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'The prompt, as a flag')
            [CompletionResult]::new('--prompt', '--prompt', [CompletionResultType]::ParameterName, 'The prompt, as a flag')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Read the prompt from a file')
            [CompletionResult]::new('--file', '--file', [CompletionResultType]::ParameterName, 'Read the prompt from a file')
            [CompletionResult]::new('--prompt-ids', '--prompt-ids', [CompletionResultType]::ParameterName, 'Token ids instead of text, as 1,2,3; needs no tokenizer')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'A folder, a .gguf, a .safetensors, a card''s name (`wick models`) or a hub id ORG/NAME[@REVISION][:FILE_OR_QUANT] [default: the embedded demo model]')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'A folder, a .gguf, a .safetensors, a card''s name (`wick models`) or a hub id ORG/NAME[@REVISION][:FILE_OR_QUANT] [default: the embedded demo model]')
            [CompletionResult]::new('--revision', '--revision', [CompletionResultType]::ParameterName, 'Branch, tag or commit of a hub id')
            [CompletionResult]::new('--quant', '--quant', [CompletionResultType]::ParameterName, 'Quantize while loading: int8 (Q8_0), int4 (Q4_0; embedding and head Q8_0), none, or a GGUF type')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'Keep the weights in this type')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'cpu, cuda, cuda:N or metal')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Threads that work [default: the physical cores]')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads that work [default: the physical cores]')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Tokens of prompt and answer together [default: the model''s, as far as memory goes]')
            [CompletionResult]::new('--ctx-size', '--ctx-size', [CompletionResultType]::ParameterName, 'Tokens of prompt and answer together [default: the model''s, as far as memory goes]')
            [CompletionResult]::new('--cache-type', '--cache-type', [CompletionResultType]::ParameterName, 'Type of the KV cache [default: f32 where the weights are f32, f16 otherwise]')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'At most N new tokens [default: until the model or the context ends]')
            [CompletionResult]::new('--max-tokens', '--max-tokens', [CompletionResultType]::ParameterName, 'At most N new tokens [default: until the model or the context ends]')
            [CompletionResult]::new('--stop', '--stop', [CompletionResultType]::ParameterName, 'End the answer before this text (repeatable)')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'System message')
            [CompletionResult]::new('--system', '--system', [CompletionResultType]::ParameterName, 'System message')
            [CompletionResult]::new('--template', '--template', [CompletionResultType]::ParameterName, 'Chat format: a name (`wick inspect` lists them) or a file with a Jinja template [default: the model''s own]')
            [CompletionResult]::new('--draft', '--draft', [CompletionResultType]::ParameterName, 'Guess at the next tokens and verify several in one pass: lookup takes what followed the same words before. Answers stay what they are; copies and edits come faster')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'What standard output gets')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'What standard output gets')
            [CompletionResult]::new('--logits', '--logits', [CompletionResultType]::ParameterName, 'Also write `ids` (i64 [T]) and `logits` (f32 [T, V]) of every position that was run')
            [CompletionResult]::new('--dump', '--dump', [CompletionResultType]::ParameterName, 'Also write every named intermediate (blk.3.attn_out …)')
            [CompletionResult]::new('--temp', '--temp', [CompletionResultType]::ParameterName, 'Temperature; 0 is greedy and repeatable')
            [CompletionResult]::new('--top-k', '--top-k', [CompletionResultType]::ParameterName, 'Only the K likeliest tokens; 0 for all')
            [CompletionResult]::new('--top-p', '--top-p', [CompletionResultType]::ParameterName, 'Only the likeliest tokens that together reach probability P')
            [CompletionResult]::new('--min-p', '--min-p', [CompletionResultType]::ParameterName, 'Only tokens at least P times as likely as the likeliest')
            [CompletionResult]::new('--repeat-penalty', '--repeat-penalty', [CompletionResultType]::ParameterName, 'Make recent tokens less likely; 1 is off')
            [CompletionResult]::new('--repeat-last-n', '--repeat-last-n', [CompletionResultType]::ParameterName, 'How many tokens are recent')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Repeat the choices of an earlier run [default: random, and reported]')
            [CompletionResult]::new('--raw', '--raw', [CompletionResultType]::ParameterName, 'The prompt as it is, without a chat format')
            [CompletionResult]::new('--offline', '--offline', [CompletionResultType]::ParameterName, 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]')
            [CompletionResult]::new('--ignore-eos', '--ignore-eos', [CompletionResultType]::ParameterName, 'Go on after the model''s end tokens')
            [CompletionResult]::new('--infill', '--infill', [CompletionResultType]::ParameterName, 'Fill the blanks of the prompt, [MASK], [sMASK] or [gMASK] (GLM), <extra_id_0> … (T5), and print the text with them')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'wick;chat' {
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'A folder, a .gguf, a .safetensors, a card''s name (`wick models`) or a hub id ORG/NAME[@REVISION][:FILE_OR_QUANT] [default: the embedded demo model]')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'A folder, a .gguf, a .safetensors, a card''s name (`wick models`) or a hub id ORG/NAME[@REVISION][:FILE_OR_QUANT] [default: the embedded demo model]')
            [CompletionResult]::new('--revision', '--revision', [CompletionResultType]::ParameterName, 'Branch, tag or commit of a hub id')
            [CompletionResult]::new('--quant', '--quant', [CompletionResultType]::ParameterName, 'Quantize while loading: int8 (Q8_0), int4 (Q4_0; embedding and head Q8_0), none, or a GGUF type')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'Keep the weights in this type')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'cpu, cuda, cuda:N or metal')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Threads that work [default: the physical cores]')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads that work [default: the physical cores]')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Tokens of prompt and answer together [default: the model''s, as far as memory goes]')
            [CompletionResult]::new('--ctx-size', '--ctx-size', [CompletionResultType]::ParameterName, 'Tokens of prompt and answer together [default: the model''s, as far as memory goes]')
            [CompletionResult]::new('--cache-type', '--cache-type', [CompletionResultType]::ParameterName, 'Type of the KV cache [default: f32 where the weights are f32, f16 otherwise]')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'At most N new tokens [default: until the model or the context ends]')
            [CompletionResult]::new('--max-tokens', '--max-tokens', [CompletionResultType]::ParameterName, 'At most N new tokens [default: until the model or the context ends]')
            [CompletionResult]::new('--stop', '--stop', [CompletionResultType]::ParameterName, 'End the answer before this text (repeatable)')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'System message')
            [CompletionResult]::new('--system', '--system', [CompletionResultType]::ParameterName, 'System message')
            [CompletionResult]::new('--template', '--template', [CompletionResultType]::ParameterName, 'Chat format: a name (`wick inspect` lists them) or a file with a Jinja template [default: the model''s own]')
            [CompletionResult]::new('--draft', '--draft', [CompletionResultType]::ParameterName, 'Guess at the next tokens and verify several in one pass: lookup takes what followed the same words before. Answers stay what they are; copies and edits come faster')
            [CompletionResult]::new('--temp', '--temp', [CompletionResultType]::ParameterName, 'Temperature; 0 is greedy and repeatable')
            [CompletionResult]::new('--top-k', '--top-k', [CompletionResultType]::ParameterName, 'Only the K likeliest tokens; 0 for all')
            [CompletionResult]::new('--top-p', '--top-p', [CompletionResultType]::ParameterName, 'Only the likeliest tokens that together reach probability P')
            [CompletionResult]::new('--min-p', '--min-p', [CompletionResultType]::ParameterName, 'Only tokens at least P times as likely as the likeliest')
            [CompletionResult]::new('--repeat-penalty', '--repeat-penalty', [CompletionResultType]::ParameterName, 'Make recent tokens less likely; 1 is off')
            [CompletionResult]::new('--repeat-last-n', '--repeat-last-n', [CompletionResultType]::ParameterName, 'How many tokens are recent')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Repeat the choices of an earlier run [default: random, and reported]')
            [CompletionResult]::new('--offline', '--offline', [CompletionResultType]::ParameterName, 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]')
            [CompletionResult]::new('--ignore-eos', '--ignore-eos', [CompletionResultType]::ParameterName, 'Go on after the model''s end tokens')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'wick;download' {
            [CompletionResult]::new('--revision', '--revision', [CompletionResultType]::ParameterName, 'Branch, tag or commit of a hub id')
            [CompletionResult]::new('--include', '--include', [CompletionResultType]::ParameterName, 'Fetch the files that match instead of what loading needs (repeatable)')
            [CompletionResult]::new('--exclude', '--exclude', [CompletionResultType]::ParameterName, 'Leave out the files that match (repeatable)')
            [CompletionResult]::new('--local-dir', '--local-dir', [CompletionResultType]::ParameterName, 'Fetch into this folder as plain files instead of the cache')
            [CompletionResult]::new('--offline', '--offline', [CompletionResultType]::ParameterName, 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show files and sizes; fetch nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'wick;quantize' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The file to write')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The file to write')
            [CompletionResult]::new('--quant', '--quant', [CompletionResultType]::ParameterName, 'int8 (Q8_0), int4 (Q4_0; embedding and head Q8_0), f32, f16, bf16, a GGUF type, or none to keep what is stored')
            [CompletionResult]::new('--base', '--base', [CompletionResultType]::ParameterName, 'MODEL is only the difference from this one (a folder): add the two, as for tatsu-lab/alpaca-7b-wdiff and LLaMA-7B')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Threads that work [default: the physical cores]')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads that work [default: the physical cores]')
            [CompletionResult]::new('--revision', '--revision', [CompletionResultType]::ParameterName, 'Branch, tag or commit of a hub id')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Overwrite the file if it exists')
            [CompletionResult]::new('--offline', '--offline', [CompletionResultType]::ParameterName, 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'wick;bench' {
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'A folder, a .gguf, a .safetensors, a card''s name or a hub id')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'A folder, a .gguf, a .safetensors, a card''s name or a hub id')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'Prompts of these lengths; 0 for none')
            [CompletionResult]::new('--n-prompt', '--n-prompt', [CompletionResultType]::ParameterName, 'Prompts of these lengths; 0 for none')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Answers of these lengths; 0 for none')
            [CompletionResult]::new('--n-gen', '--n-gen', [CompletionResultType]::ParameterName, 'Answers of these lengths; 0 for none')
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'Tokens that are in the cache before')
            [CompletionResult]::new('--n-depth', '--n-depth', [CompletionResultType]::ParameterName, 'Tokens that are in the cache before')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'How often each is measured')
            [CompletionResult]::new('--repetitions', '--repetitions', [CompletionResultType]::ParameterName, 'How often each is measured')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Threads [default: the physical cores]')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads [default: the physical cores]')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How the table is written')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How the table is written')
            [CompletionResult]::new('--quant', '--quant', [CompletionResultType]::ParameterName, 'Quantize while loading: int8, int4, none, or a GGUF type')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'cpu, cuda, cuda:N or metal')
            [CompletionResult]::new('--cache-type', '--cache-type', [CompletionResultType]::ParameterName, 'Type of the KV cache [default: f32 where the weights are f32, f16 otherwise]')
            [CompletionResult]::new('--against', '--against', [CompletionResultType]::ParameterName, 'Alternate with another setting: a model, or flags that change this one ("-t 1", "--quant int8", "--cache-type f32", "--isa avx2", "-m MODEL")')
            [CompletionResult]::new('--revision', '--revision', [CompletionResultType]::ParameterName, 'Branch, tag or commit of a hub id')
            [CompletionResult]::new('--offline', '--offline', [CompletionResultType]::ParameterName, 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'wick;models' {
            [CompletionResult]::new('--lang', '--lang', [CompletionResultType]::ParameterName, 'Language of the table [default: Chinese in a Chinese locale, English otherwise]')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'wick;inspect' {
            [CompletionResult]::new('--revision', '--revision', [CompletionResultType]::ParameterName, 'Branch, tag or commit of a hub id')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'Show this text as the model gets it, with its ids')
            [CompletionResult]::new('--prompt', '--prompt', [CompletionResultType]::ParameterName, 'Show this text as the model gets it, with its ids')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'System message of the prompt')
            [CompletionResult]::new('--system', '--system', [CompletionResultType]::ParameterName, 'System message of the prompt')
            [CompletionResult]::new('--template', '--template', [CompletionResultType]::ParameterName, 'Chat format: a name or a file with a Jinja template [default: the model''s own]')
            [CompletionResult]::new('--quant', '--quant', [CompletionResultType]::ParameterName, 'Quantize while loading: int8 (Q8_0), int4 (Q4_0; embedding and head Q8_0), none, or a GGUF type')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'Keep the weights in this type')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'cpu, cuda, cuda:N or metal')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Threads that work [default: the physical cores]')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Threads that work [default: the physical cores]')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Tokens of prompt and answer together [default: the model''s, as far as memory goes]')
            [CompletionResult]::new('--ctx-size', '--ctx-size', [CompletionResultType]::ParameterName, 'Tokens of prompt and answer together [default: the model''s, as far as memory goes]')
            [CompletionResult]::new('--cache-type', '--cache-type', [CompletionResultType]::ParameterName, 'Type of the KV cache [default: f32 where the weights are f32, f16 otherwise]')
            [CompletionResult]::new('--offline', '--offline', [CompletionResultType]::ParameterName, 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]')
            [CompletionResult]::new('--raw', '--raw', [CompletionResultType]::ParameterName, 'The prompt without a chat format')
            [CompletionResult]::new('--tensors', '--tensors', [CompletionResultType]::ParameterName, 'List every tensor')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'wick;completions' {
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only errors on stderr: no progress, notes or figures')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'wick;help' {
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Answer one prompt; standard output gets the answer and nothing else')
            [CompletionResult]::new('chat', 'chat', [CompletionResultType]::ParameterValue, 'Chat with a model; piped input is one turn per line')
            [CompletionResult]::new('download', 'download', [CompletionResultType]::ParameterValue, 'Fetch models into the Hub''s shared cache; prints where they are')
            [CompletionResult]::new('quantize', 'quantize', [CompletionResultType]::ParameterValue, 'Write a model as GGUF, quantized tensor by tensor')
            [CompletionResult]::new('bench', 'bench', [CompletionResultType]::ParameterValue, 'Measure the speed of prompts and of generation')
            [CompletionResult]::new('models', 'models', [CompletionResultType]::ParameterValue, 'List the models that have a name, or show one card in full')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show what the loader sees in a model: its columns, tensors, tokenizer, prompt and memory')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print completions for a shell')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'wick;help;run' {
            break
        }
        'wick;help;chat' {
            break
        }
        'wick;help;download' {
            break
        }
        'wick;help;quantize' {
            break
        }
        'wick;help;bench' {
            break
        }
        'wick;help;models' {
            break
        }
        'wick;help;inspect' {
            break
        }
        'wick;help;completions' {
            break
        }
        'wick;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
