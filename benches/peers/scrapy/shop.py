"""The shop by Scrapy: every page of it, and a row per book as CSV."""

import sys

import scrapy
from scrapy.crawler import CrawlerProcess

SITE, ROWS = sys.argv[1:3]


class Shop(scrapy.Spider):
    name = "shop"
    start_urls = [SITE]

    def parse(self, response):
        for link in response.css("a::attr(href)").getall():
            url = response.urljoin(link)
            if url.startswith(SITE):
                yield response.follow(url, self.parse)
        if "/book/" in response.url:
            yield {
                "url": response.url,
                "title": response.css("h1::text").get().strip(),
                "price": response.css("p.price::text").re_first(r"[\d.]+"),
                "stars": response.css("p.stars::attr(data-n)").get(default=""),
            }


process = CrawlerProcess(
    {
        "ROBOTSTXT_OBEY": True,
        "CONCURRENT_REQUESTS": 32,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 32,
        "DOWNLOAD_DELAY": 0,
        "LOG_LEVEL": "WARNING",
        "TELNETCONSOLE_ENABLED": False,
        "FEEDS": {ROWS: {"format": "csv", "fields": ["url", "title", "price", "stars"]}},
    }
)
process.crawl(Shop)
process.start()
