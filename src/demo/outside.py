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
        "when was {person} born", "what did {person} do", "how do I get to {place}", "is {place} a nice place", "what do people eat in {place}", "how long does it take to make {thing}", "what is the best {thing}",
        "where can I buy {thing}", "how much does {thing} cost", "tell me about {person}", "tell me something about {thing}", "what is the history of {place}", "is {thing} healthy", "what color is {thing}",
        "give me a recipe with {thing}", "what day is it", "who is the president", "fix my code", "write a haiku about {thing}", "what is love", "how do planes fly", "why do cats purr", "what should I eat today",
        "solve this equation for x", "write an email to my teacher", "what is a black hole", "how tall is {person}", "plan a trip to {place}", "is there life on mars", "what is the largest city in {place}",
        "write a song about {thing}", "describe {place}", "when did the war end", "how do I learn to play the piano", "what is the boiling point of water", "who wrote that book about {thing}",
    ],
    "zh": [
        "{place}的首都是哪里", "{person}是谁", "{place}在哪里", "{place}天气怎么样", "写一首关于{thing}的诗", "{person}多大了", "{thing}用法语怎么说", "人生的意义是什么",
        "谁赢了世界杯", "{thing}怎么做", "讲个笑话", "现在几点", "今天有什么新闻", "写一个python程序", "写一篇关于{thing}的作文", "谁发明了{thing}", "天空为什么是蓝色的",
        "{place}有多少人", "你喜欢{thing}吗", "唱首歌", "解释量子力学", "{place}有多远", "推荐一本关于{thing}的书",
        "{person}什么时候出生的", "{person}做过什么", "怎么去{place}", "{place}有什么好吃的", "{thing}多少钱", "哪里能买到{thing}", "{thing}对身体好吗", "讲讲{place}的历史", "今天星期几", "谁是总统", "帮我改代码",
        "帮我写一封信", "什么是黑洞", "飞机为什么会飞", "今天吃什么", "写一首歌", "给我一个{thing}的菜谱", "怎么学钢琴", "火星上有生命吗", "帮我规划去{place}的旅行", "描述一下{place}", "水的沸点是多少", "爱是什么",
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
