"""What the model does not know: it is to say so and point to -m."""

ANSWERS = {
    "en": "I am only the demo model and know little but wick. Choose a larger model with -m, e.g. `wick chat -m qwen3-0.6b`.",
    "zh": "我只是演示模型，除了 wick 知道得很少。请用 -m 换一个更大的模型，例如 `wick chat -m qwen3-0.6b`。",
}
QUESTIONS = {
    "en": [
        "what is the capital of {place}", "who is {person}", "where is {place}", "what is the weather in {place}", "write a poem about {thing}", "how old is {person}",
        "translate {thing} into French", "what is the meaning of life", "who won the world cup", "how do I cook {thing}", "tell me a joke", "what time is it",
        "what is the news today", "write a python program", "write an essay about {thing}", "what is {thing} made of", "who invented {thing}", "why is the sky blue",
        "how many people live in {place}", "what do you think about {thing}", "can you write code", "explain quantum physics", "what is the population of {place}",
        "do you like {thing}", "sing a song", "who was {person}", "what language do they speak in {place}", "how far is {place}", "recommend a book about {thing}",
    ],
    "zh": [
        "{place}的首都是哪里", "{person}是谁", "{place}在哪里", "{place}天气怎么样", "写一首关于{thing}的诗", "{person}多大了", "{thing}用法语怎么说", "人生的意义是什么",
        "谁赢了世界杯", "{thing}怎么做", "讲个笑话", "现在几点", "今天有什么新闻", "写一个python程序", "写一篇关于{thing}的作文", "谁发明了{thing}", "天空为什么是蓝色的",
        "{place}有多少人", "你喜欢{thing}吗", "唱首歌", "解释量子力学", "{place}有多远", "推荐一本关于{thing}的书",
    ],
}
SLOTS = {
    "en": {
        "place": "France Paris China Berlin Japan London Spain Rome India Tokyo Italy Egypt Brazil Moscow Canada Texas Peru Cairo".split(),
        "person": "Einstein Mozart Shakespeare Newton Napoleon Picasso Cleopatra Beethoven Obama Messi Gandhi Columbus".split(),
        "thing": "rice bread love football music the moon|the sea|winter|coffee|cheese|rain|pasta|paper|the telephone|flowers|history|art|cats|spring|pizza".replace(" the", "|the").replace(" ", "|").replace("the|", "the ").split("|"),
    },
    "zh": {
        "place": "法国 北京 日本 上海 德国 巴黎 伦敦 美国 广州 英国 东京 印度 成都".split(),
        "person": "爱因斯坦 李白 牛顿 莫扎特 杜甫 孔子 贝多芬 鲁迅 梅西".split(),
        "thing": "月亮 米饭 足球 音乐 春天 面条 大海 咖啡 电话 雨 历史 爱情 饺子 花".split(),
    },
}


def exchange(rng):
    language = rng.choice(["en", "zh"])
    slots = {k: rng.choice(v) for k, v in SLOTS[language].items()}
    text = rng.choice(QUESTIONS[language]).format(**slots)
    if rng.random() < 0.6:
        text = text[:1].upper() + text[1:]
    return text + rng.choice(["?", ""] if language == "en" else ["？", ""]), ANSWERS[language]
