use super::*;

/// A conversation from `(role, text)`, roles by their first letter.
fn talk(messages: &[(&str, &str)]) -> Vec<Message> {
    let role = |r: &str| match r {
        "s" => Role::System,
        "u" => Role::User,
        _ => Role::Assistant,
    };
    messages
        .iter()
        .map(|(r, text)| Message::new(role(r), *text))
        .collect()
}

fn builtin(name: &str, messages: &[(&str, &str)]) -> String {
    let template = ChatTemplate::builtin(name).unwrap();
    template.render(&talk(messages), true).unwrap()
}

const ROUNDS: [(&str, &str); 3] = [("u", "q1"), ("a", "a1"), ("u", "q2")];
const WITH_SYSTEM: [(&str, &str); 4] = [("s", "be"), ("u", "q1"), ("a", "a1"), ("u", "q2")];

#[test]
fn every_builtin_compiles_and_renders() {
    for name in ChatTemplate::builtin_names() {
        let text = builtin(name, &[("u", "你好")]);
        assert!(text.contains("你好"), "{name}: {text}");
    }
    assert!(ChatTemplate::builtin("../llama-2").is_none());
}

#[test]
fn builtin_formats() {
    let cases = [
        (
            "llama-2",
            "<s>[INST] <<SYS>>\nbe\n<</SYS>>\n\nq1 [/INST] a1 </s><s>[INST] q2 [/INST]",
        ),
        (
            "llama-3",
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nbe<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nq1<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\na1<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nq2<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        (
            "mistral",
            "<s>[INST] be\n\nq1 [/INST] a1</s>[INST] q2 [/INST]",
        ),
        (
            "chatml",
            "<|im_start|>system\nbe<|im_end|>\n<|im_start|>user\nq1<|im_end|>\n<|im_start|>assistant\na1<|im_end|>\n<|im_start|>user\nq2<|im_end|>\n<|im_start|>assistant\n",
        ),
        (
            "baichuan",
            "be<reserved_102>q1<reserved_103>a1<reserved_102>q2<reserved_103>",
        ),
        (
            "baichuan2",
            "be<reserved_106>q1<reserved_107>a1<reserved_106>q2<reserved_107>",
        ),
        (
            "chatglm3",
            "<|system|>\n be<|user|>\n q1<|assistant|>\n a1<|user|>\n q2<|assistant|>",
        ),
        (
            "glm4",
            "[gMASK]<sop><|system|>\nbe<|user|>\nq1<|assistant|>\na1<|user|>\nq2<|assistant|>",
        ),
        (
            "phi-3",
            "<|system|>\nbe<|end|>\n<|user|>\nq1<|end|>\n<|assistant|>\na1<|end|>\n<|user|>\nq2<|end|>\n<|assistant|>\n",
        ),
        (
            "zephyr",
            "<|system|>\nbe</s>\n<|user|>\nq1</s>\n<|assistant|>\na1</s>\n<|user|>\nq2</s>\n<|assistant|>\n",
        ),
        ("plain", "be\nq1\na1\nq2"),
    ];
    for (name, wanted) in cases {
        assert_eq!(builtin(name, &WITH_SYSTEM), wanted, "{name}");
    }
    let cases = [
        (
            "llama-2",
            "<s>[INST] q1 [/INST] a1 </s><s>[INST] q2 [/INST]",
        ),
        ("mistral", "<s>[INST] q1 [/INST] a1</s>[INST] q2 [/INST]"),
        (
            "belle",
            "Human: q1\n\nAssistant: a1\n\nHuman: q2\n\nAssistant:",
        ),
        (
            "chatglm",
            "[Round 0]\n问：q1\n答：a1\n[Round 1]\n问：q2\n答：",
        ),
        (
            "chatglm2",
            "[Round 1]\n\n问：q1\n\n答：a1\n\n[Round 2]\n\n问：q2\n\n答：",
        ),
        (
            "gemma",
            "<bos><start_of_turn>user\nq1<end_of_turn>\n<start_of_turn>model\na1<end_of_turn>\n<start_of_turn>user\nq2<end_of_turn>\n<start_of_turn>model\n",
        ),
        (
            "qwen",
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nq1<|im_end|>\n<|im_start|>assistant\na1<|im_end|>\n<|im_start|>user\nq2<|im_end|>\n<|im_start|>assistant\n",
        ),
    ];
    for (name, wanted) in cases {
        assert_eq!(builtin(name, &ROUNDS), wanted, "{name}");
    }
    assert_eq!(builtin("chatglm", &[("u", "q")]), "q");
    assert_eq!(builtin("belle", &[("u", "q")]), "Human: q\n\nAssistant:");
    assert_eq!(
        builtin(
            "qwen3",
            &[
                ("u", "q"),
                ("a", "<think>\nhm\n</think>\n\nyes"),
                ("u", "r")
            ]
        ),
        "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n<|im_start|>user\nr<|im_end|>\n<|im_start|>assistant\n"
    );
    assert_eq!(
        builtin("alpaca", &[("u", "q")]),
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nq\n\n### Response:"
    );
    assert_eq!(
        builtin("alpaca", &[("s", "q"), ("u", "i")]),
        "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\nq\n\n### Input:\ni\n\n### Response:"
    );
}

#[test]
fn no_generation_prompt_unless_asked() {
    let template = ChatTemplate::builtin("chatml").unwrap();
    let text = template.render(&talk(&[("u", "q")]), false).unwrap();
    assert_eq!(text, "<|im_start|>user\nq<|im_end|>\n");
}

#[test]
fn a_refused_system_role_is_said() {
    for name in ["gemma", "belle", "chatglm", "chatglm2"] {
        let template = ChatTemplate::builtin(name).unwrap();
        let error = template
            .render(&talk(&WITH_SYSTEM), true)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("has no system role; leave the system prompt out"),
            "{error}"
        );
    }
}

fn render(source: &str, messages: &[(&str, &str)]) -> Result<String> {
    let mut template = ChatTemplate::from_source("test", source)?;
    template.tokens = vec![
        ("bos_token".into(), "<s>".into()),
        ("eos_token".into(), "</s>".into()),
    ];
    template.render(&talk(messages), true)
}

/// What the hub's templates of Llama-2, Llama-3.1, Qwen3 and others use of Jinja and Python.
#[test]
fn hub_idioms() {
    let cases = [
        // Llama-2: slices, set in branches, arithmetic on the index, strip.
        (
            "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
            "<s>[INST] <<SYS>>\nbe\n<</SYS>>\n\nq1 [/INST] a1 </s><s>[INST] q2 [/INST]",
        ),
        // Llama-3.1: tools defined or not, none, dates, trim.
        (
            "{{- bos_token }}\n{%- if not tools is defined %}\n    {%- set tools = none %}\n{%- endif %}\n{%- if not date_string is defined %}\n    {%- set date_string = \"26 Jul 2024\" %}\n{%- endif %}\n{%- if messages[0]['role'] == 'system' %}\n    {%- set system_message = messages[0]['content']|trim %}\n    {%- set messages = messages[1:] %}\n{%- else %}\n    {%- set system_message = \"\" %}\n{%- endif %}\n{%- if tools is not none %}\n    {{- \"tools\" }}\n{%- endif %}\n{{- date_string + system_message + \"\\n\" }}\n{%- for message in messages %}\n    {%- if not (message.role == 'ipython' or 'tool_calls' in message) %}\n        {{- '<' + message['role'] + '>' + message['content'] | trim }}\n    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<assistant>' }}\n{%- endif %}\n",
            "<s>26 Jul 2024be\n<user>q1<assistant>a1<user>q2<assistant>",
        ),
        // Qwen3: a namespace, the list reversed, string tests and methods.
        (
            "{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}\n{%- for message in messages[::-1] %}\n    {%- set index = (messages|length - 1) - loop.index0 %}\n    {%- if ns.multi_step_tool and message.role == \"user\" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}\n        {%- set ns.multi_step_tool = false %}\n        {%- set ns.last_query_index = index %}\n    {%- endif %}\n{%- endfor %}\n{%- for message in messages %}\n    {%- if message.reasoning_content is string %}{{- 'reason' }}{%- endif %}\n    {%- set parts = message.content.split('1') %}\n    {{- message.role ~ ':' ~ parts[0].rstrip('\\n') ~ parts[-1].lstrip('\\n') ~ ';' }}\n{%- endfor %}\n{{- ns.last_query_index }}\n{%- if enable_thinking is defined and enable_thinking is false %}{{- 'x' }}{%- endif %}",
            "system:bebe;user:q;assistant:a;user:q2q2;3",
        ),
        // Gemma, Phi-3 and generation tags.
        (
            "{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<' + role + '>' }}{%- generation -%} {{ message['content'] | trim }} {%- endgeneration %}{% if loop.last %}{{ eos_token }}{% endif %}{% endfor %}",
            "<system>be<user>q1<model>a1<user>q2</s>",
        ),
        // Blocks on lines of their own leave nothing behind; one last newline is dropped.
        (
            "{% for m in messages %}\n  {% if m.role == 'user' %}\n{{ m.content }}\n  {% endif %}\n{% endfor %}\nend\n",
            "q1\nq2\nend",
        ),
        // Line ends of any kind are newlines.
        (
            "{% if true %}\r\na\r\n{% endif %}\r\n{{- 'b\\n' }}\r\nc\r\n",
            "a\nb\n\nc",
        ),
        // Loop controls, dictionaries, JSON as Python writes it.
        (
            "{% for m in messages %}{% if m.role == 'user' %}{% continue %}{% endif %}{{ m.get('x', '-') }}{{ m['content'].upper() }}{% endfor %}{{ {'a': [1, none, true, '<你>\"']} | tojson }}{{ [1] | tojson(indent=2) }}",
            "-BE-A1{\"a\": [1, null, true, \"<你>\\\"\"]}[\n  1\n]",
        ),
    ];
    for (source, wanted) in cases {
        assert_eq!(render(source, &WITH_SYSTEM).unwrap(), wanted, "{source}");
    }
    let year = render("{{ strftime_now('%Y') }}", &ROUNDS).unwrap();
    assert!(year.len() == 4 && year.starts_with("20"), "{year}");
}

#[test]
fn no_tools_are_nothing_to_iterate_over() {
    // Qwen3-Coder's.
    let source = "{% if tools is iterable and tools | length > 0 %}tools{% else %}none{% endif %}";
    assert_eq!(render(source, &ROUNDS).unwrap(), "none");
    let lists = "{{ [] is iterable }}{{ {} is iterable }}{{ 'a' is iterable }}{{ 3 is iterable }}";
    assert_eq!(render(lists, &ROUNDS).unwrap(), "TrueTrueTrueFalse");
}

#[test]
fn dictionaries_keep_the_order_in_which_they_are_written() {
    let source = "{% for k in {'S2': 1, 'S10': 2, 'S1': 3} %}{{ k }} {% endfor %}{{ {'b': 1, 'a': 2}|tojson }}";
    let text = render(source, &ROUNDS).unwrap();
    assert_eq!(text, r#"S2 S10 S1 {"b": 1, "a": 2}"#);
}

#[test]
fn what_a_template_raises_reaches_the_user() {
    let error = render(
        "{{ raise_exception('System role not supported') }}",
        &WITH_SYSTEM,
    );
    let error = error.unwrap_err().to_string();
    assert_eq!(
        error,
        "chat template test refuses the conversation: System role not supported; leave the system prompt out"
    );
}

#[test]
fn hostile_templates_end() {
    let loops =
        "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}";
    let error = render(loops, &ROUNDS).unwrap_err().to_string();
    assert!(error.contains("without end"), "{error}");
    for source in [
        "{{ 'x' * 99999999999 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ strftime_now('%Q%') }}",
        "{% include '/etc/passwd' %}",
        "{{ messages.__class__.__mro__ }}",
        "{% if %}",
        "{{ messages[99].content }}",
        "{{ strftime_now('%#z') }}",
        "{{ strftime_now('%c' * 10000) }}",
        "{{ '{:9999999999999999999}'.format(1) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '%1000000000d'|format(1) }}",
        "{{ ('{0}' * 100000).format('x' * 1000000) }}",
        "{{ ('%(a)s' * 100000)|format(a='x' * 1000000) }}",
        "{{ debug() }}",
    ] {
        assert!(render(source, &ROUNDS).is_err(), "{source}");
    }
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(20_000), ")".repeat(20_000));
    assert!(render(&deep, &ROUNDS).is_err());
    assert!(render(&"x".repeat(2 << 20), &ROUNDS).is_err());
}

/// Lists that are small as long as nobody writes them out.
#[test]
fn lists_without_end_are_refused() {
    let repeated = "{% set a = ['x' * 1000000] * 100000 %}".to_string();
    let long = "{% set a = [1] * 100000000 %}".to_string();
    let doubled = format!("{{% set a = [1] %}}{}", "{% set a = [a, a] %}".repeat(40));
    for list in [repeated, long, doubled] {
        for used in [
            "a",
            "a|tojson",
            "a|tojson(indent=4)",
            "''.join(a)",
            "a|join",
            "a|string",
            "'{}'.format(a)",
            "'%s'|format(a)",
            "[a, a].count(1)",
            "'x'.startswith(a)",
        ] {
            let source = format!("{list}{{{{ {used} }}}}");
            assert!(render(&source, &ROUNDS).is_err(), "{source}");
        }
    }
    let wide = "{{ ([[[[[[1]]]]]] * 1000000)|tojson(indent=16) }}";
    assert!(render(wide, &ROUNDS).is_err());
}

#[test]
fn formats_and_lists_of_honest_templates_are_written() {
    let cases = [
        ("{{ '{:>4}|{}|{a}'.format(1, 'x', a=none) }}", "   1|x|None"),
        ("{{ '%s is %03d'|format('a', 7) }}", "a is 007"),
        (
            "{{ ', '.join(['a', 'b']) }} {{ [1, 2]|join('-') }}",
            "a, b 1-2",
        ),
        ("{{ [1, 'a', {'b': none}] }}", "[1, 'a', {'b': None}]"),
        ("{{ [1, 2, 1].count(1) }} {{ 'aXbX'.count('X') }}", "2 2"),
        ("{{ [1, 2]|string ~ 'x' }}", "[1, 2]x"),
        ("{{ nothing }}{{ none }}{{ true }}", "NoneTrue"),
    ];
    for (source, wanted) in cases {
        assert_eq!(render(source, &ROUNDS).unwrap(), wanted, "{source}");
    }
    // A history of some megabytes.
    let text = "word ".repeat(500_000);
    let history = ["u", "a", "u"].map(|role| (role, text.as_str()));
    let prompt = builtin("qwen3", &history);
    assert!(prompt.len() > 7_000_000, "{}", prompt.len());
}

#[test]
fn namespaces_hold_what_honest_templates_put_there() {
    let cases = [
        (
            "{% set ns = namespace(a=[], n=0) %}{% for m in messages %}{% set ns.a = ns.a + [m.content] %}{%- set ns.n = ns.n + 1 -%}{% endfor %}{{ ns.a }}{{ ns.n }}",
            "['q1', 'a1', 'q2']3",
        ),
        (
            "{% set ns = namespace() %}{% set ns.a, ns.b = 1, (2, 3) %}{% set ns.c = 'x' if ns.a == 1 else 'y' %}{{ ns.a }}{{ ns.b[1] }}{{ ns.c }}",
            "13x",
        ),
        (
            "{% set ns = namespace() %}{% set ns.a %}text {{ 1 }}{% endset %}{% set ns.b | upper %}text{% endset %}{% set ns.c = '=%}|' %}{{ ns.a }} {{ ns.b }} {{ ns.c }}",
            "text 1 TEXT =%}|",
        ),
        // Marks in comments, raw text and strings are not statements.
        (
            "{#- {% generation %} -#}{% raw %}{% set ns.a = 1 %}{% generation %}{% endraw %}{{ '{% generation %}' }}",
            "{% set ns.a = 1 %}{% generation %}{% generation %}",
        ),
    ];
    for (source, wanted) in cases {
        assert_eq!(render(source, &ROUNDS).unwrap(), wanted, "{source}");
    }
}

#[test]
fn namespaces_hold_neither_themselves_nor_towers() {
    for set in [
        "{% set ns.a = ns %}",
        "{%- set  ns.a=[ns] -%}",
        "{% set(ns.a)=ns %}",
        "{% set x, ns.a = 1, {'b': ns} %}",
        "{% set ns.a | default(ns, true) %}{% endset %}",
        "{# {% #}{% set ns.a = ns %}",
        "{% raw %}{% {% endraw %}{% set ns.a = ns %}",
        "{% raw %}{% endraw\u{a0}%}{#{% endraw %}{% set ns.a = ns %}#}",
        "{% set ns.b = '%}\\'{%' %}{% set ns.a = ns %}",
        "{{ '{%' }}{% set ns.a = ns %}",
        "{{ {'a': {}}}}{% set ns.a = ns %}",
        "{% set ns.a = ns) or (1 %}",
        "{% for i in range(90000) %}{% set ns.a = [ns.a] %}{% endfor %}",
        "{% for i in range(40) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}",
    ] {
        let source = format!("{{% set ns = namespace(a=1) %}}{set}{{{{ '' ~ ns }}}}");
        assert!(render(&source, &ROUNDS).is_err(), "{source}");
    }
}

/// minijinja works on nested code and values by recursion.
#[test]
fn what_is_nested_deep_does_not_overflow_the_stack() {
    let tower = |name: &str, n: usize| {
        let floor = format!("{{% set {name} = [[[[[[[[{name}]]]]]]]] %}}");
        format!("{{% set {name} = 1 %}}{}", floor.repeat(n))
    };
    let held = tower("a", 2000) + "ok";
    assert_eq!(render(&held, &ROUNDS).unwrap(), "ok");
    let compared = tower("a", 900) + &tower("b", 900) + "{{ a == b }}";
    assert_eq!(render(&compared, &ROUNDS).unwrap(), "True");
    for (first, again, last) in [
        ("{{ ", "-", "1 }}"),
        ("{{ ", "not ", "1 }}"),
        ("{{ 1", "+a", " }}"),
        ("{{ a", ".a", " }}"),
        ("{{ a", "|e", " }}"),
        ("{{ [1]", "*1", " }}"),
        ("{% set ", "(", "a = 1 %}"),
        ("{% if a %}", "{% elif a %}", "{% endif %}"),
    ] {
        let source = [first, &again.repeat(5000), last].concat();
        // A text or an error.
        let _ = render(&source, &ROUNDS);
    }
}

#[test]
fn work_without_end_is_left_alone() {
    let limits = worker::Limits {
        time: std::time::Duration::from_millis(20),
        memory: u64::MAX,
    };
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let error = worker::run_within(&limits, move || receiver.recv()).unwrap_err();
    assert_eq!(error, Failure::Runaway("works"));
    assert_eq!(error.to_string(), "works without end");
    drop(sender);
    assert_eq!(worker::run(|| 1), Ok(1));
}

/// As `{{ (['x' * 1000000] * 100000)|lower }}` does.
#[test]
#[cfg(target_os = "linux")]
fn what_takes_memory_without_end_is_left_alone() {
    let limits = worker::Limits {
        time: std::time::Duration::from_secs(60),
        memory: 32 << 20,
    };
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let work = move || {
        let taken = std::hint::black_box(vec![1u8; 256 << 20]);
        // It is held until the test is over.
        let _ = receiver.recv();
        taken.len()
    };
    let error = worker::run_within(&limits, work).unwrap_err();
    assert_eq!(error, Failure::Runaway("takes memory"));
    assert_eq!(error.to_string(), "takes memory without end");
    drop(sender);
}

#[test]
fn work_that_fails_is_over() {
    let error = worker::run(|| -> u8 { panic!("the engine fails") }).unwrap_err();
    assert!(matches!(error, Failure::Over(_)), "{error:?}");
}

#[test]
fn templates_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let open = || ChatTemplate::from_folder(folder.path());
    assert!(open().unwrap().is_none());
    write(
        "tokenizer_config.json",
        r#"{"bos_token": {"content": "<b>"}, "chat_template": "{{ bos_token }}one"}"#,
    );
    let say = |t: Result<Option<ChatTemplate>>| t.unwrap().unwrap().render(&[], false).unwrap();
    assert_eq!(say(open()), "<b>one");
    write(
        "tokenizer_config.json",
        r#"{"chat_template": [{"name": "rag", "template": "no"}, {"name": "default", "template": "two"}]}"#,
    );
    assert_eq!(say(open()), "two");
    write("chat_template.jinja", "three");
    assert_eq!(say(open()), "three");
    write("special_tokens_map.json", r#"{"pad_token": "<p>"}"#);
    write("chat_template.jinja", "{{ pad_token }}four");
    assert_eq!(say(open()), "<p>four");
    write("chat_template.jinja", "{% if %}");
    let error = open().err().unwrap().to_string();
    assert!(error.contains("chat_template.jinja"), "{error}");
}
