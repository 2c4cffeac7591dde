"""The codes by which providers name an error, and the words they use where they have no code. Data only."""

import re

from .errors import (
    AccessDenied,
    ContentBlocked,
    ContextTooLong,
    InvalidCredentials,
    ModelNotFound,
    ProviderError,
    ProviderFailed,
    ProviderOverloaded,
    ProviderTimeout,
    QuotaExceeded,
    RateLimited,
    RegionNotSupported,
    WrongAddress,
    WrongVersion,
)

Kind = type[ProviderError]

# As one provider or another writes them; capitals, underscores and an "error" at the end do not count.
# A number after "minimax" is `base_resp.status_code`, one after "baidu" is `error_code`: Zhipu has the same
# numbers for other things.
_CODES: dict[Kind, str] = {
    InvalidCredentials: """
        invalid_api_key api_key_invalid incorrect_api_key invalid_authentication authentication_error
        auth_error authorized_error unauthenticated unauthorized permission_error permission_denied
        access_denied auth_failure invalid_iam_token expired_key token_not_found_in_db no_db_connection
        1000 1001 1002 1003 1004 10005 10313 11200
        minimax.1004 minimax.2049 baidu.13 baidu.14 baidu.15 baidu.100 baidu.110 baidu.111
    """,
    QuotaExceeded: """
        insufficient_quota insufficient_balance insufficient_credits insufficient_user_quota quota_exceeded
        exceeded_current_quota quota_exhausted token_quota_exhausted pre_consume_token_quota_failed
        free_model_blocked_no_quota budget_exceeded billing_error billing_hard_limit_reached
        billing_not_active payment_required arrearage account_overdue operation_denied.service_overdue
        allocation_quota.free_tier_only failed_operation.resource_pack_exhausted
        1113 11201 30001 minimax.1008 minimax.2056 baidu.17 baidu.19
    """,
    RateLimited: """
        rate_limit_exceeded rate_limit rate_limit_reached resource_exhausted limit_requests limit_burst_rate
        limit_exceeded request_limit_exceeded too_many_requests throttling
        1302 1303 10006 10007 11202 11203
        minimax.1002 minimax.1039 minimax.1041 minimax.2045 baidu.4 baidu.18 baidu.336501 baidu.336502
    """,
    ProviderOverloaded: """
        overloaded engine_overloaded server_overloaded service_overloaded service_unavailable unavailable
        1305 10008 10010 50501 50505 baidu.2 baidu.336100
    """,
    ModelNotFound: """
        model_not_found model_not_open model_not_available model_not_supported model_not_exist unknown_model
        unsupported_model invalid_model deployment_not_found invalid_endpoint_or_model
        operation_denied.service_not_open model.access_denied key_model_access_denied team_model_access_denied
        user_model_access_denied org_model_access_denied project_model_access_denied
        model_permission_blocked_org model_permission_blocked_project model_terms_required
        1211 10404 20012 minimax.2061 baidu.6
    """,
    ContextTooLong: """
        context_length_exceeded context_window_exceeded exceed_context_size model_context_window_exceeded
        request_too_large string_above_max_length too_many_tokens tokens_limit_reached
        1261 10907 baidu.336103
    """,
    ContentBlocked: """
        content_filter content_policy_violation content_blocked data_inspection_failed
        responsible_ai_policy_violation invalid_prompt prompt_blocked flagged_input moderation_blocked
        sensitive_words_detected sensitive_content_detected input_text_sensitive_content_detected
        output_text_sensitive_content_detected
        1301 10013 10014 10019 minimax.1026 minimax.1027
    """,
    RegionNotSupported: "unsupported_country_region_territory",
    WrongAddress: "unknown_url url.not_found baidu.3",
    ProviderTimeout: "timeout deadline_exceeded minimax.1001",
    ProviderFailed: "minimax.1000 minimax.1013 minimax.1024 minimax.1033 baidu.1 baidu.336000",
}
# These stand for very different things; the status or the words know better.
_VAGUE_CODES: dict[Kind, str] = {
    ProviderFailed: "server_error api_error internal_server_error internal internal_error",
    ModelNotFound: "not_found",
}


def _normal(code: str) -> str:
    return re.sub(r"[_\- ]", "", code.lower()).removesuffix("error")


def _table(codes: dict[Kind, str]) -> dict[str, Kind]:
    return {_normal(code): kind for kind, written in codes.items() for code in written.split()}


_EXACT, _VAGUE = _table(_CODES), _table(_VAGUE_CODES)


def exact_kind(code: str) -> Kind | None:
    """Return the class that a code names beyond doubt, if it does; `A.B` is at least an `A`."""
    normal = _normal(code)
    return _EXACT.get(normal) or _EXACT.get(normal.partition(".")[0])


def vague_kind(code: str) -> Kind | None:
    return _VAGUE.get(_normal(code))


BY_STATUS: dict[int, Kind] = {
    401: InvalidCredentials,
    402: QuotaExceeded,
    403: InvalidCredentials,
    404: ModelNotFound,
    408: ProviderTimeout,
    413: ContextTooLong,
    429: RateLimited,
    498: ProviderOverloaded,
    503: ProviderOverloaded,
    504: ProviderTimeout,
    524: ProviderTimeout,
    529: ProviderOverloaded,
}

# --- words


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.I | re.S)


_WRONG_KEY = _words(
    r"(incorrect|invalid|wrong|missing|expired)\W.{0,20}\bapi.?key",
    r"api.?key\b.{0,20}\b(not valid|invalid)",
    r"\blogin fail",
    r"无效的?.{0,4}(令牌|密钥)",
)
_TOO_LONG = _words(
    r"context (length|window|size)|maximum context|too long|token count|too many tokens|reduce the length",
    r"exceeded model token limit|range of input length",
    r"exceeds? the (maximum|limit|context)|maximum (prompt|input) length",
)
_BLOCKED = _words(
    r"content (filter|management policy|policy)|inappropriate content|data may contain|high risk",
    r"sensitive content",
    r"\b(input|prompt|content|request|message)s? (was|were|has been|is) (flagged|moderated)|\bmoderation\b",
    r"violat.{0,40}(polic|guideline|terms)",
    r"敏感(词|内容|信息)|内容.{0,6}违规",
)
_NO_FUNDS = _words(
    r"insufficient (account )?(balance|credit|quota|funds)",
    r"(balance|credits?|funds|quota) (is|are) (insufficient|not enough|too low)",
    r"(out of|have any|no) credits|overdue (balance|payment)|budget has been exceeded",
    r"(余额|额度)(不足|已?用尽|已?用完|耗尽)|预扣费额度失败|欠费",
)
_NO_CREDIT = _words(_NO_FUNDS.pattern, r"exceeded your current quota, please check your plan")
_VERSION = _words(
    r"only for api.?versions?\b|(unsupported|invalid|missing|unknown) api.?version",
    r"api.?version\b[^,]{0,30} is (not supported|unsupported|invalid|missing|required)",
)
_REGION = _words(
    r"\b(country|region|territory|location)\b.{0,20}\b(not|un)\W?(supported|available|allowed|served)",
    r"\b(not|un)\W?(supported|available) (in|for|from) (your|this) (country|region|territory|location)",
    r"(国家|地区|区域).{0,8}(不支持|不可用)|不支持.{0,8}(国家|地区|区域)",
)
NO_CHANNEL = _words(r"无可用渠道|no available channels?")
_NO_ACCESS = _words(
    NO_CHANNEL.pattern,
    r"\bnot (have|allowed|authorized|permitted|entitled)\b.{0,30}\b(access|use)\b.{0,30}\bmodels?\b",
    r"\baccess to (the |this )?model\b.{0,80}\b(denied|not allowed)|\bnot activated the model\b",
    r"无权(访问|使用).{0,12}模型|模型.{0,40}(无权|未开通|没有权限)",
)
_NO_MODEL = _words(
    r"\bmodel\b.{0,120}(not found|does not exist|not exist|unknown|not supported|no such)",
    r"(no such|unknown|invalid|not a valid) model",
    r"\bsupported api model names are\b|模型.{0,40}不存在",
)
_NOT_FROM_HERE = _words(
    r"\bip\b( address)?.{0,60}\b(not (allowed|in|on|authorized)|blocked|denied|banned)",
    r"\b(white|allow).?list|白名单|request not allowed|\bfirewall\b",
)
_SLOW_DOWN = _words(r"\brate.?limit|too many requests|请求过于频繁|限流")

# In this order, wherever the words are asked.
BY_WORDS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (_WRONG_KEY, InvalidCredentials),
    (_TOO_LONG, ContextTooLong),
    (_BLOCKED, ContentBlocked),
    (_NO_CREDIT, QuotaExceeded),
    (_VERSION, WrongVersion),
    (_REGION, RegionNotSupported),
    (_NO_ACCESS, ModelNotFound),
    (_NO_MODEL, ModelNotFound),
)
# With 401 and 403 the key is meant, where nothing says otherwise.
NOT_THE_KEY: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (_NO_CREDIT, QuotaExceeded),
    (_BLOCKED, ContentBlocked),
    (_REGION, RegionNotSupported),
    (_NO_ACCESS, ModelNotFound),
    (_NOT_FROM_HERE, AccessDenied),
)
# A limit that does not pass by itself, although its status is the one of those that do.
NOT_A_RATE = ((_NO_FUNDS, QuotaExceeded),)
WITHOUT_STATUS = ((_SLOW_DOWN, RateLimited),)
