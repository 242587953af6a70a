"""What a fact's wordings are varied with: synonyms, politeness, asides."""

import re

JOIN = {"en": " ", "zh": ""}

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
