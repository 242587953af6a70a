"""Short simple stories from a small grammar, in English and Chinese."""

import zlib

ANIMALS = "cat dog bear fox rabbit mouse bird frog lion duck horse pig owl hen goat fish".split()
NAMES = "Lily Tom Ben Mia Sam Anna Max Lucy Jack Rosie Leo Ella Tim Nora Finn Daisy".split()
PLACES = ["a forest", "a small village", "a garden", "a green valley", "a house by the sea", "a farm", "a big city", "a cave in the hills", "a castle", "a quiet town"]
ADJECTIVES = "little young happy shy brave curious kind clever lonely sleepy".split()
THINGS = ["a red ball", "a golden key", "a blue kite", "a shiny stone", "a wooden boat", "a silver bell", "a warm hat", "an old book", "a small lamp", "a yellow flower"]
FOODS = "bread cake soup apples honey berries cheese milk".split()
WEATHER = ["The sun was warm.", "It was raining.", "Snow lay on the ground.", "The wind was strong.", "The sky was blue."]
LESSONS = ["It is good to share.", "Friends help each other.", "Being kind makes everyone happy.", "It is never too late to say sorry.", "Even the small can be brave.", "Two are stronger than one."]
ENDINGS = ["They lived happily ever after.", "And from that day on they were best friends.", "That night everyone slept well.", "And so the day ended with a smile."]

OBJECTS_OF = {"it": ("it", "its"), "she": ("her", "her"), "he": ("him", "his")}


def it_of(thing):
    return thing.split(" ", 1)[1]


def hero(rng):
    name, animal, adjective = rng.choice(NAMES), rng.choice(ANIMALS), rng.choice(ADJECTIVES)
    pronoun = rng.choice(["he", "she"])
    return name, animal, adjective, pronoun, *OBJECTS_OF[pronoun]


def lost(rng, animal=None):
    n, a, adj, he, him, his = hero(rng)
    a = animal or a
    thing, place, friend = rng.choice(THINGS), rng.choice(PLACES), rng.choice([x for x in ANIMALS if x != a])
    t = it_of(thing)
    return [
        f"Once upon a time there was a {adj} {a} named {n}.", f"{n} lived in {place} and loved {thing} more than anything.", rng.choice(WEATHER),
        f"One day {n} could not find the {t}.", rng.choice([f"{he.capitalize()} looked under the bed and behind the door, but it was not there.", f"{he.capitalize()} looked everywhere and began to cry."]),
        f"A {friend} came by and asked, \"Why are you sad?\"", f"\"I lost my {t},\" said {n}.", rng.choice([f"Together they searched until the {friend} saw it under a tree.", f"The {friend} helped {him}, and soon they found it near the river."]),
        f"{n} was so happy that {he} gave the {friend} some {rng.choice(FOODS)}.", rng.choice(LESSONS), rng.choice(ENDINGS),
    ]


def share(rng, animal=None):
    n, a, adj, he, him, his = hero(rng)
    a = animal or a
    food, place, friend = rng.choice(FOODS), rng.choice(PLACES), rng.choice([x for x in ANIMALS if x != a])
    return [
        f"Once upon a time, in {place}, there lived a {adj} {a} called {n}.", f"{n} had a lot of {food}, but {he} did not want to share it.", rng.choice(WEATHER),
        f"A hungry {friend} came to the door and said, \"Please, may I have some {food}?\"", rng.choice([f"\"No,\" said {n}, \"it is all mine.\"", f"{n} shook {his} head and closed the door."]),
        rng.choice([f"But that night {n} could not sleep.", f"But when {he} ate alone, the {food} did not taste good."]), f"So {he} went out, found the {friend} and shared the {food}.",
        rng.choice(["They ate and laughed together.", "They sat by the fire and told stories."]), rng.choice(LESSONS), rng.choice(ENDINGS),
    ]


def rescue(rng, animal=None):
    n, a, adj, he, him, his = hero(rng)
    a = animal or a
    place, friend = rng.choice(PLACES), rng.choice([x for x in ANIMALS if x != a])
    trouble, help_ = rng.choice([
        ("had fallen into the river", "held out a long branch"), ("was stuck in a tree", "brought a ladder"), ("had lost the way home", "showed the way with a lamp"),
        ("was caught in a net", "bit the net until it broke"), ("was afraid of the dark", "stayed until the morning came"),
    ])
    return [
        f"Once upon a time there was a {adj} {a} named {n} who lived in {place}.", rng.choice([f"Everyone said that {n} was too small to help.", f"{n} wanted to see the world."]), rng.choice(WEATHER),
        rng.choice([f"One morning {he} heard a cry.", f"One evening {he} heard someone call for help."]), f"A {friend} {trouble}.", f"{n} was afraid, but {he} ran to the {friend} and {help_}.",
        rng.choice([f"\"Thank you,\" said the {friend}, \"you are very brave.\"", f"\"You saved me,\" said the {friend}."]), rng.choice(LESSONS), rng.choice(ENDINGS),
    ]


def journey(rng, animal=None):
    n, a, adj, he, him, his = hero(rng)
    a = animal or a
    thing, place, friend = rng.choice(THINGS), rng.choice(PLACES), rng.choice([x for x in ANIMALS if x != a])
    return [
        f"Once upon a time a {adj} {a} named {n} found {thing}.", f"It belonged to a {friend} who lived in {place}.", f"\"I will bring it back,\" said {n}, and {he} walked for three days.",
        rng.choice(WEATHER), rng.choice([f"On the way {he} crossed a wide river.", f"On the way {he} climbed a high hill.", f"On the way {he} slept under the stars."]),
        f"At last {he} met the {friend} and gave the {it_of(thing)} back.",
        f"The {friend} was so glad that they ate {rng.choice(FOODS)} together.", rng.choice(LESSONS), rng.choice(ENDINGS),
    ]


PLOTS = [lost, share, rescue, journey]

动物 = "小猫 小狗 小熊 狐狸 兔子 老鼠 小鸟 青蛙 狮子 鸭子".split()
名字 = "小明 小红 乐乐 豆豆 毛毛 阿福 点点 朵朵".split()
地方 = "森林里 小村庄里 花园里 海边 山脚下 农场里".split()
东西 = "红色的球 金色的钥匙 蓝色的风筝 亮亮的石头 旧书 小灯".split()
道理 = ["分享让人快乐。", "朋友要互相帮助。", "善良的人最幸福。", "小小的也可以很勇敢。"]


def chinese(rng, animal=None):
    a = animal or rng.choice(动物)
    b = rng.choice([x for x in 动物 if x != a])
    n, t = rng.choice(名字), rng.choice(东西)
    middle = rng.choice([
        [f"有一天，{n}找不到{t}了，急得哭了起来。", f"{b}走过来问：“你为什么难过？”", "它们一起找，最后在一棵树下找到了。"],
        [f"有一天，{n}捡到了{t}。", f"那是{b}丢的，{n}走了三天，把它送了回去。", f"{b}非常高兴，请{n}吃了饭。"],
        [f"有一天，{b}掉进了河里。", f"{n}虽然害怕，还是伸出一根长长的树枝，把它救了上来。", f"{b}说：“谢谢你，你真勇敢。”"],
    ])
    return [f"从前，{rng.choice(地方)}住着一只{a}，名叫{n}。", *middle, rng.choice(道理), rng.choice(["从此它们成了好朋友。", "那天晚上大家都睡得很香。"])]


ASKS = ["Tell me a story", "Tell me a short story", "Write a story", "Can you tell me a story", "I want to hear a story", "A story please", "Please tell a story", "Make up a story", "Tell me a bedtime story"]
ASKS_ZH = ["讲个故事", "给我讲个故事", "讲一个小故事", "我想听故事", "写一个故事", "请讲个故事"]


def held_out(text):
    return zlib.crc32(text.encode()) % 16 == 0


def story(rng, held=False, animal=None):
    """An English story as text, from the training or the held-out part."""
    while True:
        text = " ".join(rng.choice(PLOTS)(rng, animal))
        if held_out(text) == held:
            return text


def document(rng, turn):
    """A story alone, asked for, or gone on with from its beginning."""
    kind = rng.random()
    if kind < 0.15:
        animal = rng.choice([None, rng.choice(动物)])
        ask = rng.choice(ASKS_ZH) if animal is None else rng.choice([f"讲一个关于{animal}的故事", f"给我讲个{animal}的故事", f"写一个{animal}的故事"])
        return turn(ask + rng.choice(["", "。", "吧"]), "".join(chinese(rng, animal)))
    if kind < 0.35:
        return [(story(rng), 1)]
    if kind < 0.65:
        return turn("Once upon a time" + rng.choice(["", "...", ",", " there was"]), story(rng))
    if kind < 0.8:
        return turn(rng.choice(ASKS) + rng.choice(["", ".", "?", "!"]), story(rng))
    animal = rng.choice(ANIMALS)
    ask = rng.choice([f"Tell me a story about a {animal}", f"Write a story about a {animal}", f"I want a story about a {animal}", f"Story about a {animal}", f"Can you tell a story about a {animal}"])
    return turn(ask + rng.choice(["", ".", "?"]), story(rng, animal=animal))
