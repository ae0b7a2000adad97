"""The demo's pieces: what a small tea brand's library could look like."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """One content of the fictional brand 清泉茶舍."""

    slug: str
    kind: str
    locale: str
    title: str
    summary: str
    body: str
    tags: tuple[str, ...]


# Each with its dimension, its slug and its name.
TAGS: tuple[tuple[str, str, str], ...] = (
    ("PRODUCT", "green-tea", "Green tea"),
    ("PRODUCT", "白茶", "白茶"),
    ("PRODUCT", "冲泡", "冲泡方法"),
    ("PRODUCT", "what-sets-us-apart", "What sets us apart"),
    ("COMPANY", "values", "Values"),
    ("COMPANY", "创始人", "创始人手记"),
    ("COMPANY", "team-culture", "Team culture"),
    ("COMPANY", "公司动态", "公司动态"),
    ("INDUSTRY", "私域", "私域运营"),
    ("INDUSTRY", "直播", "直播电商"),
    ("INDUSTRY", "provenance", "Provenance"),
    ("INDUSTRY", "行业变化", "行业变化"),
    ("USER", "customer-wishes", "Customer wishes"),
    ("USER", "顾客反馈", "顾客反馈"),
    ("USER", "membership", "Membership"),
    ("USER", "口碑推荐", "口碑推荐"),
)

PIECES: tuple[Piece, ...] = (
    Piece(
        slug="why-we-pick-before-dawn",
        kind="ARTICLE",
        locale="en",
        title="Why we pick before dawn",
        summary=(
            "Picking by head torch looks like theatre. It has three plain reasons, one real cost, "
            "and a way for you to check it on a plate."
        ),
        body="""\
The leaf for our Dawn Green is picked between half past four and half past seven, the first
hour of it by head torch. Visitors take this for theatre. It has three reasons and one cost.

## What the early hour does

- **The bud is firm.** After a cool night a shoot is full of water and snaps cleanly. By ten
  it has begun to wilt and the picker has to pull, which bruises the stem. Bruised edges turn
  red in the tray and taste stewed in the cup.
- **The basket stays cool.** A full basket warms from the inside. On a cold morning leaf can
  wait two hours for the tray; at noon it cannot wait one.
- **The day fits.** What is picked by half past seven is aired, fired and dried by dusk.
  Nothing waits overnight.

## What it costs

Dew. Wet leaf steams in the pan instead of frying, so every basket is spread one layer thin on
bamboo until its surface is dry, three to five hours. When it rains we do not pick at all: last
spring that took six of twenty-two days. The early hours are paid at one and a half times the
day rate, and you find that in the price, about eleven yuan in every 100 g tin.

## How to check

Tip the spent leaves on to a plate. You should see whole buds with a short, straight break and
green edges. If more than a few are red or torn, send us a photo with the batch number and we
replace the tin.
""",
        tags=("green-tea", "what-sets-us-apart", "provenance"),
    ),
    Piece(
        slug="零售群为什么越来越安静",
        kind="ARTICLE",
        locale="zh-CN",
        title="零售群为什么越来越安静",
        summary="群里近五百人,说话的只剩客服和等红包的人。问题多半不在话术,而在当初进群的理由。",
        body="""\
我们最早的零售群有四百八十六人。第一个月每天两百多条消息,半年后只剩早安、优惠券和几句“还有货吗”。我们把聊天记录从头翻了一遍,找到三个原因。

## 一、进门的理由决定了留下的人

当时的口号是“进群领试饮装”。领完的人没有理由再说话,只在下次有免费东西时出现。群不是慢慢变冷的,建群那天就招错了人。

## 二、提问得不到回答

顾客问“这款茶涩不涩”,得到的是一条商品链接。问过一次,就不会再问第二次。像样的回答应该是:水温高了会涩,八十度试试看。

## 三、所有人听到同一句话

喝了三年的老顾客,和昨天才进来的人收到同样的通知。前者觉得被怠慢,后者觉得被打扰。

## 我们后来怎么做

1. 不再用赠品拉人。新朋友先由店员或老顾客一对一认识,再决定要不要进群。
2. 按贡献分层:累计消费满 3,000 元进老友群,满 5,000 元可以参加春茶试样。门槛写明,人人看得见。
3. 每周只发两次内容,一次讲茶,一次答问题,其余时间允许群里安静。

现在最大的一个群只有九十一人,消息少了大半,但每周都有人把自己泡的茶拍给大家看。群里安静不要紧,要紧的是开口的时候有没有人想听。
""",
        tags=("私域", "行业变化", "membership"),
    ),
    Piece(
        slug="四款茶怎么选",
        kind="BROCHURE",
        locale="zh-CN",
        title="产品手册:四款茶,怎么选、怎么泡",
        summary="我们只做四款茶。这份手册写明每款适合谁、不适合谁,以及一壶泡好的最简单办法。",
        body="""\
我们全年只做四款茶。品种少,店员才能每一款都说得清楚。选茶之前,先想想什么时候喝、跟谁喝。

## 晨采绿茶

- **适合**:上午提神,喜欢鲜爽、清淡的人。
- **不适合**:空腹喝茶会不舒服的人,打算放一年以上的人。
- **泡法**:三克,八十度水二百毫升,一分半钟出汤,可泡三次。

## 三年白茶

- **适合**:下午慢慢喝,也适合朋友来了煮一壶。
- **不适合**:期待浓烈香气的人。它的味道是淡淡的枣香和干草香。
- **泡法**:五克,沸水快出汤五六次,之后加水小火煮十分钟。

## 桂花红茶

- **适合**:第一次喝茶的朋友,送礼不容易出错。
- **不适合**:不喜欢花香的人。桂花是真花窨制,不加香精,第三泡以后花香就淡了。
- **泡法**:四克,九十度水二百毫升,一分钟出汤。

## 焙火大麦茶

- **适合**:晚饭以后,以及不想摄入咖啡因的人。
- **不适合**:对麸质过敏的人。
- **泡法**:一小把,沸水焖五分钟,冷热都好喝。

## 拿不准的时候

先买二十五克小罐,四款各一罐刚好够一家人试两周。开罐后不合口味,剩下的寄回来,我们换成另一款,运费一家一半。
""",
        tags=("green-tea", "白茶", "冲泡"),
    ),
    Piece(
        slug="how-we-decide-what-not-to-sell",
        kind="ARTICLE",
        locale="en",
        title="How we decide what not to sell",
        summary=(
            "Last year we took on one product and turned down nine. "
            "The refusals say more about us than a page of values would."
        ),
        body="""\
Last year we took on one product and turned down nine. The list of refusals says more about us
than a page of values would, so here is how it comes about.

## Three questions

1. **Would we pour it for a guest without mentioning the price?** A cheap scented blend failed
   here. It was fine for the money, and "for the money" was the problem.
2. **Can we say who made it?** A broker offered a good oolong at a good price and could not
   name the workshop. The next batch might have been anything.
3. **Can it be sold without promising a cure?** A slimming blend would have outsold everything
   we have. Tea is pleasant to drink. It is not medicine, and nobody here may hint that it is,
   whether in the shop, in a group or in a private chat.

One no is enough, and any of the fourteen of us may say it. It has to be written down with its
reason, and the packer's counts as much as the founder's.

## What it costs

The New Year gift box we refused had more porcelain in it than tea. By our estimate it would
have brought in a tenth of a year's revenue, and December was tight without it.

## Why we publish this

Members who recommend us lend us their name. Before they do, they should know what they may be
asked to stand behind, and what they never will be.
""",
        tags=("values", "team-culture", "what-sets-us-apart"),
    ),
    Piece(
        slug="创始人手记-第一批茶卖给了邻居",
        kind="ARTICLE",
        locale="zh-CN",
        title="创始人手记:第一批茶卖给了楼上楼下",
        summary="没有店面,也没有预算,阿澄的第一批茶只有四十斤。买茶的二十三家邻居,教会了她后来一直在用的三件事。",
        body="""\
第一年我做了四十斤绿茶,没有店面,也不会投广告。母亲说,先送楼上楼下尝尝。我舍不得白送,就在楼道里摆了一张桌子,泡给大家喝,觉得好再买。一个春天,二十三家邻居买走了三十四斤。

## 邻居教我的事

**先泡,再开口**。我背好了一套介绍,没有人听完。茶递过去,对方喝一口,自己会问:“这个多少度泡的?”从那以后,我们店里的规矩是茶先上桌,话后出口。

**记住人,不只记住单**。三楼的奶奶牙不好,喜欢淡的;五楼的年轻人总忘了出汤,要给他耐泡的。我用一本作业本记这些,今天换成了系统,记的还是同样的事。

**做坏了要先说**。有一锅火大了,我没吭声就卖了。第二天有人来敲门,没有骂我,只说:“这次不如上次。”我退了钱,又挨家去问谁买到了那一锅。退掉六份,后来这六家一家也没走。

## 今天还剩下什么

现在我们有十四个人、两间铺子,还有一口写进了店名的老泉。作业本还在柜台下面,新同事入职第一天,我会请他从头看一遍。

邻居没有把我当品牌,他们只是知道出了问题可以去敲哪扇门。我希望每一位会员也知道。

——阿澄
""",
        tags=("创始人", "values", "口碑推荐"),
    ),
    Piece(
        slug="顾客抱怨最多的三件事",
        kind="ARTICLE",
        locale="zh-CN",
        title="顾客抱怨最多的三件事,我们怎么改",
        summary="去年三百一十二条抱怨,近一半集中在三件事上:茶涩、香气跑掉、推荐奖励看不懂。这里写明原因和改法。",
        body="""\
去年我们一共记下三百一十二条抱怨,其中一百五十条集中在三件事上。我们把原因和改法写在这里,也方便同事回答时直接引用。

## 一、“绿茶怎么这么涩”(六十八条)

多数是水温太高、茶叶太多。以前的冲泡卡只写“适量”,等于没写。

**改法**:卡片改成克数、水温、时间三个数字,字号放大一倍。没有温度计的话,水开后揭盖晾五六分钟再泡。照着做还涩的,我们换货。

## 二、“放了半年,香气没了”(四十五条)

绿茶怕光、怕潮、怕热、怕异味。我们卖一百克的大罐,却没有提醒大家开罐后要尽快喝完。

**改法**:增加二十五克小罐,罐底写明“开罐后一个月内喝完”。冷藏的茶要等罐子回到室温再打开,不然水汽会凝在叶子上。

## 三、“我介绍的朋友买了,奖励怎么没有”(三十七条)

有的是朋友换了手机下单,有的是朋友后来退了货。规则没错,可是顾客看不见。

**改法**:每一笔都可以点开,看到是哪天、从谁的链接来的、算给了谁、为什么。奖励只按订单算,不按人头算;订单退了,奖励也一并退回,这一条现在写在最前面。

## 还没解决的

雨季快递慢,我们暂时没有好办法,只能在下单之前说清楚。
""",
        tags=("顾客反馈", "口碑推荐", "冲泡"),
    ),
    Piece(
        slug="十二位老顾客办起的品茶会",
        kind="CASE",
        locale="zh-CN",
        title="案例:十二位老顾客办起的品茶会",
        summary="我们没有请人转发海报,而是请十二位老顾客在自己家里泡一次茶。六十天后的数字,连同没做好的地方,都写在这里。",
        body="""\
## 背景

去年九月,我们想让新朋友认识三年白茶。以往的办法是请老顾客转发海报,发的人为难,看的人划走。这一次,我们改请他们在家里泡一次茶。

## 做法

1. 从买过白茶三次以上的顾客里,邀请了十二位,不看朋友圈人数,只看是不是真的爱喝。
2. 每人一套材料:五十克茶、一张冲泡卡、一页“常见问题”。没有销售话术。
3. 每场最多请四位朋友。谁感兴趣,就扫主人自己的链接,记在主人名下。
4. 奖励按订单计算,过了退货期才发放,事先讲清楚。

## 结果(六十天)

- 十二场茶会,来了四十一位朋友。
- 二十六位下了单,其中三位退货,对应的奖励也收回了。
- 剩下的二十三位里,有九位买了第二次。
- 两位新朋友主动提出,下次想在自己家办。

## 没做好的地方

有两场的主人事先不知道朋友能不能喝茶,到场才发现有人晚上怕失眠,后来我们在材料里加了一份大麦茶。还有一位主人觉得拿奖励不好意思,我们改成可以换茶,也可以不要。

## 可以照搬的一点

先挑真的爱喝的人,再谈推荐。一位愿意洗茶杯、摆椅子的老顾客,比一百次转发更有分量。
""",
        tags=("口碑推荐", "membership", "白茶", "私域"),
    ),
    Piece(
        slug="直播卖得快-关系留在哪里",
        kind="ARTICLE",
        locale="zh-CN",
        title="直播卖得快,关系留在哪里",
        summary="一晚上卖掉门店一个月的量,九十天后回来的人却不多。我们算了两笔账,然后改了直播的做法。",
        body="""\
去年秋天我们做了六场直播。最好的一场,两个小时有四百一十位顾客下单,抵得上门店一个月。热闹过后,我们算了两笔账。

## 第一笔账:钱

扣掉折扣、投流和退货,每单剩下的毛利不到平时的三成。退货里最常见的理由是“跟想的不一样”:两分钟讲不清一款茶,倒计时又不让人多想。

## 第二笔账:人

这四百一十位顾客,九十天内回来再买的有三十七位,约百分之九。同一时期,由老顾客介绍来的一百零四位新客,回来了四十一位,约百分之三十九。

两群人买的是同一款茶。差别在于,后者遇到问题时知道该问谁。

## 现在的做法

- 直播照做,但每场只讲一款茶,讲满四十分钟,不设倒计时。
- 主播不说“全网最低”。会员价在哪里都一样,免得老顾客觉得吃亏。
- 每位下单的人会收到一封冲泡信,署的是一位真人店员的名字,有问题直接找这个人。
- 复盘先看九十天复购,再看当晚销量。

改完以后,单场销量少了一半,退货少了三分之二。我们觉得这笔交换是值得的:直播是一扇门,门后要有人接待,不然门开得再大,也只是穿堂风。
""",
        tags=("直播", "行业变化", "私域"),
    ),
    Piece(
        slug="what-pre-qingming-does-and-does-not-tell-you",
        kind="ARTICLE",
        locale="en",
        title='What "pre-Qingming" does and does not tell you',
        summary=(
            "Buyers read the word as a grade. It is a date, "
            "and a date without a place says very little about a tea."
        ),
        body="""\
"Pre-Qingming" (明前) on a tin means that the leaf was picked before the Qingming festival,
around 4 or 5 April. Buyers read it as a grade. It is a date.

## What the date tells you

Within one garden, the first leaf has grown slowly through the cold. It is small, richer in
amino acids and poorer in the compounds that make tea astringent. Of two tins from the same
plot and year, the earlier one is usually softer and sweeter.

## What it leaves out

- **Place.** A low southern garden may pick in February; a high one may have no leaf before
  mid-April. Two tins with the same word can lie six weeks of spring apart.
- **Cultivar.** Early-sprouting bushes meet the date with ease. Old seed-grown bushes, often
  the more interesting ones, miss it.
- **Making.** A scorched pan ruins March leaf as surely as May leaf.
- **Proof.** Nothing in the dry leaf shows the day it was picked.

## What we print instead

Plot, altitude, cultivar, picking date, and the name of whoever fired the batch. It meant
thirty-one different labels last spring and about a week of extra work. In return, members now
ask for a plot they liked rather than for a festival.

The label template is free to any grower in the valley. Three use it so far. A word that
everybody can print is worth little; a line that somebody can check is worth more.
""",
        tags=("provenance", "行业变化", "green-tea"),
    ),
    Piece(
        slug="what-members-asked-for-and-what-we-refused",
        kind="ARTICLE",
        locale="en",
        title="What members asked for, and what we refused",
        summary=(
            "One question to every member each quarter, and every answer published with a yes "
            "or a no. The noes turned out to matter as much."
        ),
        body="""\
Once a quarter every member gets one question: what should we do differently? This spring 143
people answered. We sort the answers, decide within two weeks, and publish both halves of the
list.

## Done

- **Smaller tins** (38 requests). Green tea fades once it is open, and 100 g lasts a single
  drinker far too long. There is now a 25 g tin of every tea.
- **A pause for standing orders** (21). Two taps, no call, no "are you sure".
- **Seeing how far the next tier is** (17). The member page shows what has been counted, and
  from which orders. Nobody should need a calculator to learn where they stand.

## Refused

- **A permanent discount for the highest tier** (12). It would be paid for by everybody else.
  That tier gets first choice of small batches, and a seat at the spring tasting.
- **A public ranking of referrers** (6). People recommend tea to friends. A league table would
  make those friends wonder why.
- **Replies at midnight** (5). We are fourteen people. We answer from nine to eight, and say so.

## What we learned

Of the 23 people who heard no, 15 wrote back, most of them to say thanks for the reason. What
drives members off is silence. If you run a group, try publishing the refusals first; it shows
that somebody has read the rest.
""",
        tags=("customer-wishes", "membership", "顾客反馈"),
    ),
    Piece(
        slug="晚饭后喝什么",
        kind="ARTICLE",
        locale="zh-CN",
        title="晚饭后喝什么:老白茶和大麦茶的真话",
        summary="“老白茶晚上喝不影响睡觉”是我们听得最多的一句误会。这里讲清楚区别,再给一套晚上的泡法。",
        body="""\
店里每天都有人问:晚上能不能喝茶?网上常见的回答是“老白茶没事”。卖白茶的我们,得把话说完整。

## 先说实话

白茶放了三年,口感会变得柔和,苦涩减少,但咖啡因并没有因此消失。喝起来不刺激,不等于不提神。平时下午喝茶就睡不好的人,晚上不要喝老白茶。

## 三种人,三种选法

- **对咖啡因不敏感**:三年白茶可以喝,饭后隔半小时,五克煮一壶,两三个人分。
- **有一点敏感**:白茶减到两克,泡得淡一些,晚上七点以前喝完。
- **明显敏感**:选大麦茶。它是炒过的大麦,不是茶叶,不含咖啡因;对麸质过敏的人除外。

正在怀孕、哺乳或者服药的顾客,请先问医生,不要问店员。

## 一壶晚上的大麦茶

1. 一小把大麦,约十五克,先用热水快速冲一遍。
2. 加沸水六百毫升,盖上焖五分钟。
3. 想要更香,就倒进锅里小火煮三分钟,不要再久,煮久了会发苦。

## 给同事的一句提醒

顾客问“能不能助眠”,请回答“我们的茶没有这个功效”。少卖一罐不要紧,第二天早上他没睡好,想起的会是我们的名字。
""",
        tags=("白茶", "冲泡", "顾客反馈"),
    ),
    Piece(
        slug="everyone-answers-for-an-hour",
        kind="ARTICLE",
        locale="en",
        title="Everyone answers for an hour a week",
        summary=(
            "Since March all fourteen of us, from roaster to bookkeeper, spend an hour a week "
            "answering members. Here is what changed and what went wrong."
        ),
        body="""\
Since March each of the fourteen of us has spent one hour a week answering members: the
roaster, the bookkeeper, the founder. Before, two colleagues at the counter did all of it.

## Why

Complaints reached the roaster as a number in a monthly table. Nobody re-tunes a pan for a
number. A message that says "the last tin tasted of smoke, and my father noticed" is another
matter: the vent was cleaned that afternoon.

## How it works

- A fixed hour per person, posted so that members know whom they will meet.
- A shared library, tagged by topic. Nobody writes an answer on brewing or storage from
  scratch; they look up the tag, send the piece, and add a sentence of their own.
- A question without a piece goes on a list. The list is next month's writing plan.
- Refunds and health questions go to two named people. No improvising there.

## What went wrong

In the second week our packer, Xiaohe, promised a delivery date that she could not know, and
we kept the promise by taxi. Two of us dreaded the hour, and sat beside a colleague for a month
before answering alone.

## What changed

The median first reply went from five hours to fifty minutes. Better still, the library grew
from 40 pieces to 96, and nearly all of the new ones began as a real question. If you cannot
spare everyone, begin with whoever is furthest from the customer.
""",
        tags=("team-culture", "公司动态", "私域"),
    ),
)
