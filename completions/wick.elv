
use builtin;
use str;

set edit:completion:arg-completer[wick] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'wick'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'wick'= {
            cand -q 'Only errors on stderr: no progress, notes or figures'
            cand --quiet 'Only errors on stderr: no progress, notes or figures'
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
            cand run 'Answer one prompt; standard output gets the answer and nothing else'
            cand chat 'Chat with a model; piped input is one turn per line'
            cand download 'Fetch models into the Hub''s shared cache; prints where they are'
            cand quantize 'Write a model as GGUF, quantized tensor by tensor'
            cand bench 'Measure the speed of prompts and of generation'
            cand models 'List the models that have a name, or show one card in full'
            cand inspect 'Show what the loader sees in a model: its columns, tensors, tokenizer, prompt and memory'
            cand completions 'Print completions for a shell'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'wick;run'= {
            cand -p 'The prompt, as a flag'
            cand --prompt 'The prompt, as a flag'
            cand -f 'Read the prompt from a file'
            cand --file 'Read the prompt from a file'
            cand --prompt-ids 'Token ids instead of text, as 1,2,3; needs no tokenizer'
            cand -m 'A folder, a .gguf, a .safetensors, a card''s name (`wick models`) or a hub id ORG/NAME[@REVISION][:FILE_OR_QUANT] [default: the embedded demo model]'
            cand --model 'A folder, a .gguf, a .safetensors, a card''s name (`wick models`) or a hub id ORG/NAME[@REVISION][:FILE_OR_QUANT] [default: the embedded demo model]'
            cand --revision 'Branch, tag or commit of a hub id'
            cand --quant 'Quantize while loading: int8 (Q8_0), int4 (Q4_0; embedding and head Q8_0), none, or a GGUF type'
            cand --dtype 'Keep the weights in this type'
            cand --device 'cpu, cuda, cuda:N or metal'
            cand -t 'Threads that work [default: the physical cores]'
            cand --threads 'Threads that work [default: the physical cores]'
            cand -c 'Tokens of prompt and answer together [default: the model''s, as far as memory goes]'
            cand --ctx-size 'Tokens of prompt and answer together [default: the model''s, as far as memory goes]'
            cand --cache-type 'Type of the KV cache [default: f32 where the weights are f32, f16 otherwise]'
            cand -n 'At most N new tokens [default: until the model or the context ends]'
            cand --max-tokens 'At most N new tokens [default: until the model or the context ends]'
            cand --stop 'End the answer before this text (repeatable)'
            cand -s 'System message'
            cand --system 'System message'
            cand --template 'Chat format: a name (`wick inspect` lists them) or a file with a Jinja template [default: the model''s own]'
            cand --draft 'Guess at the next tokens and verify several in one pass: lookup takes what followed the same words before. Answers stay what they are; copies and edits come faster'
            cand -o 'What standard output gets'
            cand --output 'What standard output gets'
            cand --logits 'Also write `ids` (i64 [T]) and `logits` (f32 [T, V]) of every position that was run'
            cand --dump 'Also write every named intermediate (blk.3.attn_out …)'
            cand --temp 'Temperature; 0 is greedy and repeatable'
            cand --top-k 'Only the K likeliest tokens; 0 for all'
            cand --top-p 'Only the likeliest tokens that together reach probability P'
            cand --min-p 'Only tokens at least P times as likely as the likeliest'
            cand --repeat-penalty 'Make recent tokens less likely; 1 is off'
            cand --repeat-last-n 'How many tokens are recent'
            cand --seed 'Repeat the choices of an earlier run [default: random, and reported]'
            cand --raw 'The prompt as it is, without a chat format'
            cand --offline 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]'
            cand --ignore-eos 'Go on after the model''s end tokens'
            cand --infill 'Fill the blanks of the prompt, [MASK], [sMASK] or [gMASK] (GLM), <extra_id_0> … (T5), and print the text with them'
            cand -q 'Only errors on stderr: no progress, notes or figures'
            cand --quiet 'Only errors on stderr: no progress, notes or figures'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'wick;chat'= {
            cand -m 'A folder, a .gguf, a .safetensors, a card''s name (`wick models`) or a hub id ORG/NAME[@REVISION][:FILE_OR_QUANT] [default: the embedded demo model]'
            cand --model 'A folder, a .gguf, a .safetensors, a card''s name (`wick models`) or a hub id ORG/NAME[@REVISION][:FILE_OR_QUANT] [default: the embedded demo model]'
            cand --revision 'Branch, tag or commit of a hub id'
            cand --quant 'Quantize while loading: int8 (Q8_0), int4 (Q4_0; embedding and head Q8_0), none, or a GGUF type'
            cand --dtype 'Keep the weights in this type'
            cand --device 'cpu, cuda, cuda:N or metal'
            cand -t 'Threads that work [default: the physical cores]'
            cand --threads 'Threads that work [default: the physical cores]'
            cand -c 'Tokens of prompt and answer together [default: the model''s, as far as memory goes]'
            cand --ctx-size 'Tokens of prompt and answer together [default: the model''s, as far as memory goes]'
            cand --cache-type 'Type of the KV cache [default: f32 where the weights are f32, f16 otherwise]'
            cand -n 'At most N new tokens [default: until the model or the context ends]'
            cand --max-tokens 'At most N new tokens [default: until the model or the context ends]'
            cand --stop 'End the answer before this text (repeatable)'
            cand -s 'System message'
            cand --system 'System message'
            cand --template 'Chat format: a name (`wick inspect` lists them) or a file with a Jinja template [default: the model''s own]'
            cand --draft 'Guess at the next tokens and verify several in one pass: lookup takes what followed the same words before. Answers stay what they are; copies and edits come faster'
            cand --temp 'Temperature; 0 is greedy and repeatable'
            cand --top-k 'Only the K likeliest tokens; 0 for all'
            cand --top-p 'Only the likeliest tokens that together reach probability P'
            cand --min-p 'Only tokens at least P times as likely as the likeliest'
            cand --repeat-penalty 'Make recent tokens less likely; 1 is off'
            cand --repeat-last-n 'How many tokens are recent'
            cand --seed 'Repeat the choices of an earlier run [default: random, and reported]'
            cand --offline 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]'
            cand --ignore-eos 'Go on after the model''s end tokens'
            cand -q 'Only errors on stderr: no progress, notes or figures'
            cand --quiet 'Only errors on stderr: no progress, notes or figures'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'wick;download'= {
            cand --revision 'Branch, tag or commit of a hub id'
            cand --include 'Fetch the files that match instead of what loading needs (repeatable)'
            cand --exclude 'Leave out the files that match (repeatable)'
            cand --local-dir 'Fetch into this folder as plain files instead of the cache'
            cand --offline 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]'
            cand --dry-run 'Show files and sizes; fetch nothing'
            cand -q 'Only errors on stderr: no progress, notes or figures'
            cand --quiet 'Only errors on stderr: no progress, notes or figures'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'wick;quantize'= {
            cand -o 'The file to write'
            cand --output 'The file to write'
            cand --quant 'int8 (Q8_0), int4 (Q4_0; embedding and head Q8_0), f32, f16, bf16, a GGUF type, or none to keep what is stored'
            cand --base 'MODEL is only the difference from this one (a folder): add the two, as for tatsu-lab/alpaca-7b-wdiff and LLaMA-7B'
            cand -t 'Threads that work [default: the physical cores]'
            cand --threads 'Threads that work [default: the physical cores]'
            cand --revision 'Branch, tag or commit of a hub id'
            cand --force 'Overwrite the file if it exists'
            cand --offline 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]'
            cand -q 'Only errors on stderr: no progress, notes or figures'
            cand --quiet 'Only errors on stderr: no progress, notes or figures'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'wick;bench'= {
            cand -m 'A folder, a .gguf, a .safetensors, a card''s name or a hub id'
            cand --model 'A folder, a .gguf, a .safetensors, a card''s name or a hub id'
            cand -p 'Prompts of these lengths; 0 for none'
            cand --n-prompt 'Prompts of these lengths; 0 for none'
            cand -n 'Answers of these lengths; 0 for none'
            cand --n-gen 'Answers of these lengths; 0 for none'
            cand -d 'Tokens that are in the cache before'
            cand --n-depth 'Tokens that are in the cache before'
            cand -r 'How often each is measured'
            cand --repetitions 'How often each is measured'
            cand -t 'Threads [default: the physical cores]'
            cand --threads 'Threads [default: the physical cores]'
            cand -o 'How the table is written'
            cand --output 'How the table is written'
            cand --quant 'Quantize while loading: int8, int4, none, or a GGUF type'
            cand --device 'cpu, cuda, cuda:N or metal'
            cand --cache-type 'Type of the KV cache [default: f32 where the weights are f32, f16 otherwise]'
            cand --against 'Alternate with another setting: a model, or flags that change this one ("-t 1", "--quant int8", "--cache-type f32", "--isa avx2", "-m MODEL")'
            cand --revision 'Branch, tag or commit of a hub id'
            cand --offline 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]'
            cand -q 'Only errors on stderr: no progress, notes or figures'
            cand --quiet 'Only errors on stderr: no progress, notes or figures'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'wick;models'= {
            cand --lang 'Language of the table [default: Chinese in a Chinese locale, English otherwise]'
            cand -q 'Only errors on stderr: no progress, notes or figures'
            cand --quiet 'Only errors on stderr: no progress, notes or figures'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'wick;inspect'= {
            cand --revision 'Branch, tag or commit of a hub id'
            cand -p 'Show this text as the model gets it, with its ids'
            cand --prompt 'Show this text as the model gets it, with its ids'
            cand -s 'System message of the prompt'
            cand --system 'System message of the prompt'
            cand --template 'Chat format: a name or a file with a Jinja template [default: the model''s own]'
            cand --quant 'Quantize while loading: int8 (Q8_0), int4 (Q4_0; embedding and head Q8_0), none, or a GGUF type'
            cand --dtype 'Keep the weights in this type'
            cand --device 'cpu, cuda, cuda:N or metal'
            cand -t 'Threads that work [default: the physical cores]'
            cand --threads 'Threads that work [default: the physical cores]'
            cand -c 'Tokens of prompt and answer together [default: the model''s, as far as memory goes]'
            cand --ctx-size 'Tokens of prompt and answer together [default: the model''s, as far as memory goes]'
            cand --cache-type 'Type of the KV cache [default: f32 where the weights are f32, f16 otherwise]'
            cand --offline 'Send nothing over the network; use what is cached [env: HF_HUB_OFFLINE]'
            cand --raw 'The prompt without a chat format'
            cand --tensors 'List every tensor'
            cand -q 'Only errors on stderr: no progress, notes or figures'
            cand --quiet 'Only errors on stderr: no progress, notes or figures'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'wick;completions'= {
            cand -q 'Only errors on stderr: no progress, notes or figures'
            cand --quiet 'Only errors on stderr: no progress, notes or figures'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'wick;help'= {
            cand run 'Answer one prompt; standard output gets the answer and nothing else'
            cand chat 'Chat with a model; piped input is one turn per line'
            cand download 'Fetch models into the Hub''s shared cache; prints where they are'
            cand quantize 'Write a model as GGUF, quantized tensor by tensor'
            cand bench 'Measure the speed of prompts and of generation'
            cand models 'List the models that have a name, or show one card in full'
            cand inspect 'Show what the loader sees in a model: its columns, tensors, tokenizer, prompt and memory'
            cand completions 'Print completions for a shell'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'wick;help;run'= {
        }
        &'wick;help;chat'= {
        }
        &'wick;help;download'= {
        }
        &'wick;help;quantize'= {
        }
        &'wick;help;bench'= {
        }
        &'wick;help;models'= {
        }
        &'wick;help;inspect'= {
        }
        &'wick;help;completions'= {
        }
        &'wick;help;help'= {
        }
    ]
    $completions[$command]
}
