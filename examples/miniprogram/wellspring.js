// Asks Wellspring from a WeChat mini-program: signed in by WeChat, sent again where it was cut off.
const AT_ONCE = 10 // WeChat sends no more
const TRIES = 4
const TOKEN = 'wellspring-token'
const SIGN_IN = `mutation ($input: WechatSignInInput!) {
  signInWithWechat(input: $input) { token errors { code message } } }`
const LOST = { message: 'No answer came.', extensions: { code: 'UNREACHABLE' } }

const call = (api, options) => new Promise((success, fail) => wx[api]({ ...options, success, fail }))
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds))

function read({ data: body, header = {} }) {
  const { data, errors } = Object(body) // a gateway's page has neither
  const { message, extensions } = errors ? errors[0] : LOST
  const name = Object.keys(header).find((each) => each.toLowerCase() === 'retry-after')
  const more = { ...extensions, retryAfterSeconds: name ? Number(header[name]) : null }
  return { data, problem: data && !errors ? null : Object.assign(new Error(message), more) }
}

// `pause` waits for so many seconds. Timers stand still in the background, where requests are lost.
function connect({ url, pause = sleep }) {
  let free = AT_ONCE
  let signingIn = null
  const queue = []

  async function send(data, key) {
    if (free > 0) free -= 1
    else await new Promise((turn) => queue.push(turn))
    const header = { 'content-type': 'application/json', 'idempotency-key': key }
    const token = wx.getStorageSync(TOKEN)
    if (token) header.authorization = `Bearer ${token}`
    const answer = await call('request', { url, method: 'POST', data, header }).catch((lost) => lost)
    if (queue.length) queue.shift()()
    else free += 1
    return read(answer)
  }

  const signIn = () => (signingIn = signingIn || enter().finally(() => (signingIn = null)))

  async function enter() {
    wx.removeStorageSync(TOKEN)
    const fresh = async () => ({ input: { code: (await call('login')).code } })
    const { token, errors } = (await ask(SIGN_IN, fresh)).signInWithWechat
    if (!token) throw Object.assign(new Error(errors[0].message), { code: errors[0].code })
    wx.setStorageSync(TOKEN, token)
  }

  async function ask(query, variables) {
    const { randomValues } = await call('getRandomValues', { length: 16 })
    const key = wx.arrayBufferToBase64(randomValues) // of every attempt: it takes effect once
    for (let attempt = 1; ; attempt += 1) {
      if (signingIn && query !== SIGN_IN) await signingIn // else it would be asked as nobody
      const given = typeof variables === 'function' ? await variables() : variables
      const { data, problem } = await send({ query, variables: given }, key)
      if (!problem) return data
      const wait = problem.code === 'UNREACHABLE' ? attempt : problem.retryAfterSeconds
      if (attempt === TRIES || !(wait || problem.code === 'UNAUTHENTICATED')) throw problem
      if (wait) await pause(wait)
      else await signIn()
    }
  }

  return { ask, signIn }
}

module.exports = { connect }
