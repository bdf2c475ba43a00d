"""The pages at `/`: what this service is and where its parts are; locally, the mails it has sent.

They ask for no sign-in and set no cookie. A deployed stage shows only what is public anyway.
"""
