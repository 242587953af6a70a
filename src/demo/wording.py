"""What surrounds a fact's wordings: frames, synonyms, politeness, asides.

Frames and words of `HELD_FRAMES` are for the evaluation alone.
"""

import re

JOIN = {"en": " ", "zh": ""}

# "{g}" is a goal, "{q}" a question, "{n}" a name.
FRAMES = {
    "en": {
        "g": [
            "how do I {g}", "how do I {g}", "how do I {g}", "how to {g}", "how to {g}", "how can I {g}", "I want to {g}", "how would I {g}", "what is the command to {g}",
            "is there a way to {g}", "can wick {g}", "can I {g}", "show me how to {g}", "{g}", "{g}", "which command do I use to {g}", "I would like to {g}", "tell me how to {g}",
            "what do I type to {g}", "help me {g}", "is it possible to {g}", "I need to {g}", "how do you {g}", "what is the best way to {g}", "I'd like to {g}",
            "which flag do I need to {g}", "how does one {g}", "how do I {g} with wick", "how do I {g} in wick", "is there an option to {g}", "can it {g}", "could I {g}",
            "how should I {g}", "does wick let me {g}", "I am trying to {g}", "what is the easiest way to {g}", "let me {g}", "explain how to {g}", "can you {g}",
            "any way to {g}", "looking for a way to {g}", "what if I want to {g}", "could you tell me how to {g}", "I wish to {g}", "is there a flag to {g}", "what flag lets me {g}",
            "would it be possible to {g}", "what do I need to do to {g}", "I have to {g}", "my boss asked me to {g}", "steps to {g}", "command to {g}", "flag to {g}", "how might I {g}",
            "I'm trying to {g}, how", "wick {g}", "am I able to {g}", "we want to {g}", "is it hard to {g}", "what's the trick to {g}", "teach me to {g}", "which setting would {g}",
            "I don't know how to {g}", "I can't figure out how to {g}", "how do people {g}", "what should I do to {g}", "which switch makes it {g}", "is there a command to {g}",
            "what must I enter to {g}", "suppose I want to {g}", "my goal is to {g}", "please help me to {g}", "the docs do not say how to {g}", "what lets me {g}", "I was told wick can {g}",
            "what would I write to {g}", "how exactly do I {g}", "what is needed to {g}", "anyone know how to {g}", "how am I supposed to {g}", "where do I {g}", "when I want to {g}, what then",
            "quickest way to {g}", "I'd love to {g}", "it should {g}", "make wick {g}", "have wick {g}", "I was wondering how to {g}", "what are the steps to {g}", "give me the command to {g}",
        ],
        "n": [
            "what does {n} do", "what is {n}", "what is {n} for", "explain {n}", "how do I use {n}", "{n}", "tell me about {n}", "what does {n} mean",
            "when should I use {n}", "how does {n} work", "help with {n}", "what is the meaning of {n}", "why would I use {n}", "I do not understand {n}",
            "what's {n}", "{n} meaning", "info on {n}", "give me an example of {n}", "I saw {n} somewhere, what is it", "do I need {n}", "how is {n} used",
        ],
        "q": ["{q}"],
    },
    "zh": {
        "g": [
            "怎么{g}", "怎么{g}", "如何{g}", "怎样{g}", "我想{g}", "{g}", "{g}", "{g}用什么命令", "怎么才能{g}", "可以{g}吗", "能{g}吗", "请问怎么{g}", "我要{g}", "{g}怎么做",
            "{g}的命令是什么", "怎么用wick{g}", "wick怎么{g}", "教我{g}", "有办法{g}吗", "{g}用哪个参数", "请告诉我怎么{g}", "我需要{g}", "{g}要输入什么", "{g}的方法", "想{g}怎么办",
            "想{g}", "{g}，怎么弄", "怎么弄才能{g}", "有没有办法{g}", "能不能{g}", "可不可以{g}", "要怎么{g}", "怎么去{g}", "咋{g}", "咋样{g}", "帮我{g}", "请{g}", "求助：{g}",
            "{g}有什么办法", "我打算{g}", "我希望{g}", "需要{g}时怎么办", "{g}该用什么", "哪个命令可以{g}", "哪个选项能{g}", "什么参数可以{g}", "如果要{g}该怎么做", "不会{g}",
            "不知道怎么{g}", "能帮我{g}吗", "wick能{g}吗", "wick支持{g}吗", "在wick里{g}", "{g}行吗", "怎么做到{g}", "怎么实现{g}", "有什么方法{g}", "给我讲讲怎么{g}", "新手怎么{g}",
            "老板让我{g}", "想要{g}", "{g}要加什么参数", "{g}难吗", "是否可以{g}", "怎么让wick{g}", "我在试着{g}", "有命令{g}吗",
            "{g}应该怎么操作", "{g}怎么操作", "{g}的操作方法", "{g}怎么搞", "{g}怎么弄呢", "{g}该怎么处理", "{g}的步骤", "{g}有几步", "{g}的流程", "{g}怎么设置", "{g}在哪里设置",
            "{g}求教程", "{g}如何实现", "{g}的正确方法", "{g}命令怎么写", "{g}的写法", "{g}要用哪条命令", "{g}如何做到", "{g}得怎么办", "{g}有没有参数", "{g}可行吗", "{g}能实现吗",
            "谁知道怎么{g}", "有人知道怎么{g}吗", "问下怎么{g}", "求问怎么{g}", "我应该怎样{g}", "我要如何{g}", "需要怎么做才能{g}", "用什么办法{g}", "用wick{g}", "wick里怎么{g}",
            "能告诉我怎么{g}吗", "你能教我{g}吗", "用户怎么{g}", "通常怎么{g}", "最简单怎么{g}", "一般用什么{g}", "是不是可以{g}", "我现在要{g}", "打算{g}，用什么命令", "想{g}，该输入什么",
        ],
        "n": [
            "{n}是什么", "{n}怎么用", "{n}有什么用", "{n}是什么意思", "解释{n}", "介绍{n}", "什么是{n}", "{n}", "{n}的作用", "请解释一下{n}", "如何使用{n}", "我不懂{n}",
            "{n}的意思", "什么时候用{n}", "{n}举个例子", "讲讲{n}", "{n}是干嘛的", "为什么要用{n}", "看不懂{n}",
        ],
        "q": ["{q}"],
    },
}
HELD_FRAMES = {
    "en": {
        "g": ["could someone walk me through how to {g}", "which part of wick lets a user {g}", "our team would like to {g}", "in what manner can one {g}", "what would you suggest if I must {g}"],
        "n": ["describe {n}", "what happens with {n}", "can you explain {n} to me"],
        "q": ["{q}"],
    },
    "zh": {
        "g": ["麻烦讲解一下{g}的做法", "小白想{g}，从哪里下手", "假如我要{g}，得敲什么", "同事让我{g}，求指点"],
        "n": ["{n}干什么用的", "说明一下{n}", "{n}是做什么的"],
        "q": ["{q}"],
    },
}

# Words that stand for one another often enough; a list a line.
_SYNONYMS = {
    "en": """
quantize quantise compress shrink squeeze reduce
see view show display look\u00a0at check inspect find\u00a0out
know learn discover determine figure\u00a0out
set change choose specify adjust configure define alter tweak
choose select pick
answer reply response output
answers replies responses
flag option parameter switch argument
folder directory dir
model LLM network checkpoint
models LLMs checkpoints
use try employ apply utilize
get obtain have receive fetch
make let force cause
chat conversation talk dialogue discussion
prompt input question query
text file document passage
command subcommand
tokens words
stop end halt quit finish
stops ends halts quits
start begin launch open
fast quick speedy rapid
faster quicker speedier snappier swifter
slow sluggish
delete remove erase wipe drop
list show enumerate print
measure check test gauge evaluate
memory RAM
computer machine laptop PC box desktop system
disk drive SSD storage
small tiny little compact
smaller tinier lighter
large big huge giant
larger bigger
limit cap restrict bound
save store keep preserve
write produce generate create
create produce build make
download fetch pull get grab retrieve
run execute start use
load open read
internet network web wifi
GPU graphics\u00a0card
graphics video
random unpredictable
creative imaginative inventive
repeat repeats
repeating looping
avoid prevent
increase raise enlarge extend
lower reduce decrease
kind sort type
allowed permitted possible
wrong incorrect false
help assistance
fill complete
compare contrast
convert turn transform change
cores CPUs processors
supported available possible
want need wish
good decent nice
cache store
speed performance pace
number count
maximum largest
too very so
several multiple many
again anew once\u00a0more
my the
the my
a the
""",
    "zh": """
模型 大模型 语言模型 网络
设置 设定 调整 指定 修改 配置 更改
查看 看 看看 显示 查 瞧瞧
下载 拉取 获取 下
参数 选项 开关
回答 输出 回复 答案
聊天 对话 谈话 交谈
使用 用 采用
怎么 如何 咋 怎样 怎么样
什么 啥
哪个 什么 哪一个
可以 能 能够
文件夹 目录
让 使 叫
提示词 prompt 提示 输入
命令 指令
运行 跑 启动 执行
内存 RAM
电脑 机器 计算机 笔记本
硬盘 磁盘
速度 性能
快 迅速
慢 缓慢
删除 删掉 移除 清除
保存 存下 存储 留下
限制 控制
停止 停 结束 中止
开始 启动 打开
量化 压缩
大小 体积
小 迷你
大 巨大
网络 互联网 网
显卡 GPU
随机 不确定
重复 循环
测 测量 测试
测速 测速度 基准测试
支持 能用
怎么办 咋办 如何解决
增大 加大 扩大 提高
降低 减少 减小 调低
核心 核
比较 对比
权重 参数文件
需要 要
想 要 希望
""",
}


def _table(language):
    """(pattern of every word of the lists, word -> the other words of its lists)."""
    table = {}
    for line in _SYNONYMS[language].split("\n"):
        words = [w.replace("\u00a0", " ") for w in line.split(" ") if w]
        for word in words:
            table.setdefault(word, []).extend(w for w in words if w != word)
    each = "|".join(sorted(map(re.escape, table), key=len, reverse=True))
    return re.compile(rf"(?<![-\w`./])(?:{each})(?![-\w`/])" if language == "en" else each), table


SYNONYMS = {language: _table(language) for language in _SYNONYMS}

SMALL = set("a an the do does did i you it is are was my me to of for in on with can could would how what which there be this that and or if".split())

BEFORE = {
    "en": [
        "", "", "", "please, ", "hi, ", "hello, ", "hey, ", "sorry, ", "quick question: ", "ok, ", "so ", "and ", "excuse me, ", "hm, ", "well, ", "pls ", "um, ", "now ", "good morning, ",
        "one more thing: ", "just wondering, ", "I wonder, ", "also, ", "but ", "then ", "tell me, ", "say, ", "question: ", "hi there, ", "maybe a stupid question but ", "wick: ",
    ],
    "zh": [
        "", "", "", "请问", "你好，", "请问一下，", "那么", "我想知道", "嗨，", "麻烦问下，", "问一下，", "请教一下，", "话说", "那个，", "对了，", "还有，", "现在", "问题：", "大佬，", "不好意思，", "顺便问下，",
    ],
}
AFTER = {
    "en": [
        "", "", "", " please", " in wick", " with wick", " on my machine", ", thanks", " exactly", " here", " on the command line", " from the terminal", " with this tool", " with this program",
        " pls", " today", " right now", " on Linux", " on Windows", " on my laptop", " at home", " for my project", " somehow", " if possible", ", please help", " in this program",
    ],
    "zh": ["", "", "", "呢", "啊", "谢谢", "，谢谢", "呀", "，求教", "，急", "吧", "，在线等", "，麻烦了", "，多谢"],
}
ENDS = {"en": ["?", "?", "?", "", "", ".", "!", "??"], "zh": ["？", "？", "", "", "?", "。", "！"]}
ASIDES = {
    "en": [
        "I am new to this.", "I'm on Linux.", "I have a question.", "My colleague wants to know.", "I have read the help but do not get it.", "Thanks in advance.", "I installed wick today.",
        "I use a laptop.", "This is for work.", "Sorry for asking.", "I am not a programmer.", "I have an old computer.", "I just started.", "Hope you can help.", "Nothing I tried works.",
        "I come from Python.", "It is urgent.", "I am a student.", "My friend told me about wick.", "Hello!", "Hi!", "Good evening.", "OK.", "Great.", "Let me ask you something.", "I work on a server.",
    ],
    "zh": [
        "我是新手。", "我用的是Linux。", "有个问题。", "同事想知道。", "我看过帮助还是不懂。", "先谢谢了。", "今天刚装的wick。", "我用笔记本。", "这是工作要用的。", "我不会编程。", "电脑比较旧。", "很着急。",
        "我是学生。", "朋友推荐的wick。", "你好！", "好的。", "试了很多方法都不行。", "请教一下。",
    ],
}
