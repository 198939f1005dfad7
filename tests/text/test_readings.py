"""Sentences of our own, class by class, with the reading that a native speaker expects."""

import pytest

from indextts_jax.text.normalize import normalise

TELEPHONES = {
    "Call me at (415) 555-0132.": "Call me at four one five, five five five, zero one three two.",
    "Dial 1-800-555-0199 now.": "Dial one, eight zero zero, "
    "five five five, zero one nine nine now.",
    "In an emergency dial 911.": "In an emergency dial nine one one.",
    "Text 40404 to vote.": "Text four zero four zero four to vote.",
    "My number is +44 20 7946 0958.": "My number is plus four four, "
    "two zero, seven nine four six, "
    "zero nine five eight.",
    "请拨打13900012345。": "请拨打幺三九零零零幺二三四五.",
    "电话010-62345678，分机203。": "电话零幺零六二三四五六七八,分机二零三.",
    "客服热线是400-820-8820。": "客服热线是四零零八二零八八二零.",
    "有事打110，着火打119。": "有事打幺幺零,着火打幺幺九.",
    "他的手机号是186 1234 5678。": "他的手机号是幺八六幺二三四五六七八.",
    "香港办公室：+852 2345 6789": "香港办公室,加八五二,二三四五六七八九",
}
IDENTITY = {
    "My social security number is 123-45-6789.": "My social security number is one two three, "
    "four five, six seven eight nine.",
    "Passport number 512345678.": "Passport number five one two three four five six seven eight.",
    "身份证号11010519491231002X已登记。": "身份证号幺幺零幺零五幺九四九幺二三幺零零二X已登记.",
    "学号2021310456的同学": "学号二零二幺三幺零四五六的同学",
    "卡号6222 0212 3456 7890": "卡号六二二二零二幺二三四五六七八九零",
    "护照号是E12345678。": "护照号是E幺二三四五六七八.",
}
ROOMS = {
    "Room 305 is upstairs.": "Room three oh five is upstairs.",
    "Meet me in suite 1204.": "Meet me in suite twelve oh four.",
    "She lives in apartment 12.": "She lives in apartment twelve.",
    "She lives in Unit 4B.": "She lives in Unit four B.",
    "Our seats are 14C and 14D.": "Our seats are fourteen C and fourteen D.",
    "北京309医院": "北京三零九医院",
    "请到305房间开会。": "请到三零五房间开会.",
    "会议在Room 305举行": "会议在Room 三零五举行",
    "他住在12号楼3单元502室。": "他住在十二号楼三单元五零二室.",
    "房间号是1204": "房间号是幺二零四",
}
PLATES = {
    "The license plate is 7XYZ123.": "The license plate is seven XYZ one two three.",
    "车牌京A12345": "车牌京A幺二三四五",
    "沪B·8K123违章停车": "沪B八K幺二三违章停车",
    "粤B12D45的车主": "粤B幺二D四五的车主",
}
CODES = {
    "Your order number is 48213.": "Your order number is four eight two one three.",
    "See order no. 77120.": "See order number seven seven one two zero.",
    "The PIN is 0042.": "The PIN is zero zero four two.",
    "Your verification code is 482913.": "Your verification code is four eight two nine one three.",
    "It returns error 404.": "It returns error four oh four.",
    "New York, NY 10118": "New York, NY one zero one one eight",
    "Beverly Hills, zip code 90210.": "Beverly Hills, zip code nine zero two one zero.",
    "Flight CA1234 leaves soon.": "Flight CA one two three four leaves soon.",
    "Flight 370 was lost.": "Flight three seven zero was lost.",
    "Flight UA 2481 is late.": "Flight UA two four eight one is late.",
    "Text HELP to 741741.": "Text HELP to seven four one seven four one.",
    "I live at 1600 Oak Avenue.": "I live at sixteen hundred Oak Avenue.",
    "The 405 freeway is jammed.": "The four oh five freeway is jammed.",
    "ISBN 978-7-111-12345-6 is out of print.": "ISBN nine seven eight, seven, one one one, "
    "one two three four five, six is out of print.",
    "Take bus 42 or route 66.": "Take bus forty two or route sixty six.",
    "航班MU5137延误了。": "航班MU五幺三七延误了.",
    "我坐G1234次列车去上海。": "我坐G幺二三四次列车去上海.",
    "验证码482913，五分钟内有效。": "验证码四八二九幺三,五分钟内有效.",
    "密码是0042": "密码是零零四二",
    "订单号48213已发货": "订单号四八二幺三已发货",
    "邮编100084": "邮编幺零零零八四",
    "请乘坐302路公交车": "请乘坐三零二路公交车",
    "股票代码600519": "股票代码六零零五幺九",
    "Train 402 stops here.": "Train four zero two stops here.",
    "Tracking number 1Z999AA1": "Tracking number one Z nine nine nine AA one",
    "It speaks HTTP/2 and IPv6.": "It speaks HTTP two and IPv six.",
    "请登录12306网站": "请登录幺二三零六网站",
    "沿318国道走": "沿三幺八国道走",
    "服务器地址10.0.0.25": "服务器地址一零点零点零点二五",
    "The server is at 10.0.0.25.": "The server is at one zero dot zero dot zero dot two five.",
}
YEARS = {
    "He was born in 1998.": "He was born in nineteen ninety eight.",
    "It opened in 1905 and closed in 2003.": "It opened in nineteen oh five and closed in "
    "two thousand three.",
    "The 2016 election": "The twenty sixteen election",
    "From 1914 to 1918 there was war.": "From nineteen fourteen to "
    "nineteen eighteen there was war.",
    "Shakespeare (1564-1616) wrote plays.": "Shakespeare 'fifteen sixty "
    "four to sixteen sixteen' "
    "wrote plays.",
    "In 1066 the Normans came.": "In ten sixty six the Normans came.",
    "1998年他出生了": "一九九八年他出生了",
    "98年世界杯在法国": "九八年世界杯在法国",
    "08年北京奥运会": "零八年北京奥运会",
    "他等了20年。": "他等了二十年.",
    "过了1000年": "过了一千年",
    "登上1500级台阶": "登上一千五百级台阶",
    "300年历史的老店": "三百年历史的老店",
    "2019-2021年间": "二零一九到二零二一年间",
    "2024款车型": "二零二四款车型",
    "公元618年唐朝建立": "公元六一八年唐朝建立",
}
DECADES = {
    "The 1980s were loud.": "The nineteen eighties were loud.",
    "Music of the '90s": "Music of the nineties",
    "in the early 2000s": "in the early two thousands",
    "She is in her 30s.": "She is in her thirties.",
    "80年代的歌": "八十年代的歌",
    "20世纪90年代": "二十世纪九十年代",
    "1980年代": "一九八零年代",
    "the 50s and 60s": "the fifties and sixties",
    "the summer of '69": "the summer of sixty nine",
    "95后的年轻人": "九五后的年轻人",
}
QUANTITIES = {
    "We need 12 songs.": "We need twelve songs.",
    "There were 1500 people.": "There were one thousand five hundred people.",
    "The total is 1,234.56.": "The total is one thousand two "
    "hundred and thirty four point five six.",
    "Pi is about 3.14159.": "Pi is about three point one four one five nine.",
    "It fell to -5 degrees.": "It fell to minus five degrees.",
    "Population: 1,400,000,000": "Population, one billion four hundred million",
    "共有123个": "共有一百二十三个",
    "我有2台电脑和2个手机": "我有两台电脑和两个手机",
    "这部手机3999，联系了120人": "这部手机三千九百九十九,联系了一百二十人",
    "打了300个电话": "打了三百个电话",
    "约3,000人参加": "约三千人参加",
    "圆周率是3.14159": "圆周率是三点一四一五九",
    "这个app有12 songs": "这个app有十二 songs",
    "一共1400000000人口": "一共十四亿人口",
}
MONEY = {
    "It costs $12.50.": "It costs twelve dollars and fifty cents.",
    "They raised $3.5 million.": "They raised three point five million dollars.",
    "€50 or £3.20": "fifty euros or three pounds and twenty pence",
    "It is only $0.99.": "It is only ninety nine cents.",
    "Pay $20/month.": "Pay twenty dollars per month.",
    "He broke a $100 bill.": "He broke a one hundred dollar bill.",
    "价格是￥99.9元": "价格是九十九点九元",
    "花了100美元": "花了一百美元",
    "融资$3.5 million": "融资三百五十万美元",
    "1,234,567元": "一百二十三万四千五百六十七元",
    "每张€50": "每张五十欧元",
}
DATES = {
    "Today is March 5, 2024.": "Today is march fifth, twenty twenty four.",
    "The deadline is 2024/3/5.": "The deadline is the fifth of march twenty twenty four.",
    "We met on the 3rd of May.": "We met on the third of may.",
    "On Dec. 25 we rest.": "On december twenty fifth we rest.",
    "会议定于2024/3/5。": "会议定于二零二四年三月五日.",
    "今天是2024-11-21。": "今天是二零二四年十一月二十一日.",
    "2023年12月31日": "二零二三年十二月三十一日",
    "2024.3.5出版": "二零二四年三月五日出版",
}
TIMES = {
    "It's 10:30 now.": "It is ten thirty now.",
    "The train leaves at 6:05 a.m. sharp.": "The train leaves at six o five AM sharp.",
    "Lunch is at 12:00.": "Lunch is at twelve o'clock.",
    "Open Mon.-Fri.": "Open Monday to Friday.",
    "Open 9am-5pm daily.": "Open nine AM to five PM daily.",
    "10:30开会": "十点三十分开会",
    "营业时间8:00-18:00": "营业时间八点到十八点",
    "下午3:05出发": "下午三点零五分出发",
    "下午2点30分": "下午两点三十分",
}
UNITS = {
    "It weighs 70.5 kg.": "It weighs seventy point five kilograms.",
    "The limit is 120 km/h.": "The limit is one hundred and twenty kilometers per hour.",
    "He is 5 ft 11.": "He is five foot eleven.",
    "It is 25°C outside.": "It is twenty five degrees Celsius outside.",
    "a 2 GB file and 16GB of RAM": "a two gigabyte file and sixteen gigabytes of RAM",
    "身高1.82m，体重70.5kg": "身高一点八二米,体重七十点五千克",
    "速度120km/h": "速度每小时一百二十公里",
    "今天25℃，明天-5℃": "今天二十五摄氏度,明天负五摄氏度",
    "面积300m²": "面积三百平方米",
    "买了2公斤苹果": "买了两公斤苹果",
    "有256GB存储": "有两百五十六GB存储",
    "a 6'2\" man on 42nd Street": "a six foot two man on forty second Street",
    "1024x768分辨率": "一千零二十四乘七百六十八分辨率",
}
PERCENT = {
    "50% of people agree.": "fifty percent of people agree.",
    "between 10-15%": "between ten to fifteen percent",
    "Sales fell by -3.2%.": "Sales fell by minus three point two percent.",
    "增长了12.5%": "增长了百分之十二点五",
    "占10%-15%": "占百分之十到百分之十五",
}
RANGES = {
    "pages 12-15": "pages twelve to fifteen",
    "for 5-10 minutes": "for five to ten minutes",
    "They won 3-2.": "They won three to two.",
    "Mix it 3:1.": "Mix it three to one.",
    "以3-2获胜": "以三比二获胜",
    "皇马2:1击败巴萨": "皇马二比一击败巴萨",
    "3-5个工作日": "三到五个工作日",
}
ORDINALS = {
    "the 21st century": "the twenty first century",
    "No. 5 on the list": "number five on the list",
    "Chapter 12 begins.": "Chapter twelve begins.",
    "World War II ended.": "World War two ended.",
    "Henry VIII had six wives.": "Henry the eighth had six wives.",
    "Pope John Paul II": "Pope John Paul the second",
    "World War I and Rocky III": "World War one and Rocky three",
    "Mix I and V, size XL, Oak Lane.": "Mix I and V, size XL, Oak Lane.",
    "第12章": "第十二章",
    "No.1品牌": "第一品牌",
    "第2次尝试": "第二次尝试",
}
ADDRESSES = {
    "Mail bob.smith@example.com today.": "Mail bob dot smith at example dot com today.",
    "Visit openai.com/docs.": "Visit openai dot com slash docs.",
    "See https://example.org.": "See HTTPS colon slash slash example dot org.",
    "发到foo@bar.com": "发到foo艾特bar点com",
    "访问www.example.com": "访问www点example点com",
}
NAMES = {
    "Mr. Brown met Dr. Lee.": "Mister Brown met doctor Lee.",
    "He lives on Baker St. near St. Paul.": "He lives on Baker Street near Saint Paul.",
    "J.F.K. was born in 1917.": "JFK was born in nineteen seventeen.",
    "Tom & Jerry, e.g. the first one.": "Tom and Jerry, for example, the first one.",
    "弗拉基米尔·伊里奇": "弗拉基米尔-伊里奇",
}
TERMS = {
    "An A100 GPU and an RTX 4090.": "An A one hundred GPU and an RTX forty ninety.",
    "5G is fast and 4K is sharp.": "five G is fast and four K is sharp.",
    "A 1080p screen.": "A ten eighty P screen.",
    "COVID-19 spread quickly.": "COVID-nineteen spread quickly.",
    "The iPhone 15 is out.": "The iPhone fifteen is out.",
    "Version 2.1.3 is out.": "version two point one point three is out.",
    "A Boeing 747 landed.": "A Boeing seven forty seven landed.",
    "Print it on A3 paper.": "Print it on A three paper.",
    "SHA1 and MP3 are old.": "SHA one and MP three are old.",
    "RTX 4090显卡": "RTX 四零九零显卡",
    "英伟达A100很贵": "英伟达A一百很贵",
    "我买了iPhone 15": "我买了iPhone 十五",
    "新冠COVID-19疫情": "新冠COVID-十九疫情",
    "v2.1.3版本发布": "v二点一点三版本发布",
    "空客A380客机": "空客A三八零客机",
    "1080p视频": "幺零八零P视频",
    "B2B业务": "B to B业务",
    "PM2.5浓度": "PM二点五浓度",
    "PM2.5 is high.": "PM two point five is high.",
    "歼-20和东风-41": "歼二十和东风四十一",
    "CO2排放": "CO二排放",
    "C++和C#": "C加加和C井",
    "ISO 9001 and 802.11ac": "ISO nine thousand one and eight oh two point eleven ac",
}
PINYIN = {
    "银行的行读HANG2。": "银行的行读HANG2.",
    "这个字念xing2": "这个字念XING2",
    "女读nü3": "女读NV3",
    "句ju4子": "句JV4子",
    "<行|HANG2>长来了": "HANG2长来了",
    "NI3 HAO3": "NI3 HAO3",
}
MIXED = {
    "你好 world 123 hello": "你好 world 一百二十三 hello",
    'In Chinese, "你好" was said 12 times.': "In Chinese, '你好' was said twelve times.",
    "我在Room 1001等你，call我13812345678": "我在Room 幺零零幺等你,call我幺三八幺二三四五六七八",
    "明天9:30在B座302室meeting": "明天九点三十分在B座三零二室meeting",
}
CLASSES = {
    name: table
    for name, table in globals().copy().items()
    if isinstance(table, dict) and name.isupper() and not name.startswith("_")
}
SENTENCES = [
    pytest.param(text, reading, id=f"{name.lower()}: {text}")
    for name, table in CLASSES.items()
    for text, reading in table.items()
]


@pytest.mark.parametrize(("text", "reading"), SENTENCES)
def test_a_sentence_is_read_as_a_native_speaker_reads_it(text, reading):
    assert normalise(text).text.upper() == reading.upper()


def test_there_are_sentences_enough():
    assert len(CLASSES) == 20
    assert len(SENTENCES) >= 120
